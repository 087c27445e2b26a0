"""``explore``: the table, the JSON object, the picture, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from tests.compiled_programs import GRID, small_model

Explore = Callable[..., tuple[int, str, str]]
CONFIG = "\n".join(
    f"{name} = {getattr(GRID, name)}"
    for name in ("grid_rows", "grid_columns", "cores", "windows", "window_columns", "weight_words",
                 "slots", "sequence_bytes", "multipliers_per_window")
)  # fmt: skip


@pytest.fixture
def explore(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Explore:
    """Runs the command on a small model; status, standard output, standard error."""
    model, config = tmp_path / "small.safetensors", tmp_path / "grid.toml"
    write_model(small_model(), model)
    config.write_text(CONFIG)

    def run(*options: str) -> tuple[int, str, str]:
        status = main(["explore", str(model), "--target", "tiny", "--config", str(config),
                       "--row-lanes", "4", "--multipliers", "2", *options])  # fmt: skip
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_json_holds_every_point_and_marks_the_front(explore: Explore) -> None:
    status, out, _ = explore("--cores", "2,24,32", "--frequency", "100,200", "--json")
    answer = json.loads(out)
    assert status == 0
    assert (answer["target"], answer["source"], answer["frames"]) == ("tiny", "closed form", 50)
    points = answer["points"]
    assert len(points) == 3 * 2 * 2
    assert {p["cores"] for p in points if p["cycles"] is None} == {2}
    assert all("cores" in p["why"] for p in points if p["cycles"] is None)
    fastest = min((p for p in points if p["cycles"]), key=lambda p: p["milliseconds"])
    assert fastest["frequency_mhz"] == 200.0
    assert any(p["pareto"] and p["milliseconds"] == fastest["milliseconds"] for p in points)
    assert not any(p["pareto"] for p in points if p["frequency_mhz"] == 100.0)


def test_simulate_counts_the_cycles(explore: Explore) -> None:
    plain = json.loads(explore("--cores", "32", "--mapping", "paper", "--json")[1])
    exact = json.loads(explore("--cores", "32", "--mapping", "paper", "--simulate", "--json")[1])
    assert exact["source"] == "simulator"
    (modelled,), (counted,) = plain["points"], exact["points"]
    assert counted["cycles"] != modelled["cycles"]
    assert counted["milliseconds"] == pytest.approx(counted["cycles"] / 100e3)


@pytest.mark.parametrize("options", [(), ("--simulate",)])
def test_layers_of_the_host_take_no_cycles(explore: Explore, options: tuple[str, ...]) -> None:
    """Without the LSTM an utterance takes a fraction of the time."""
    common = ("--cores", "32", "--mapping", "paper", "--json", *options)
    (whole,) = json.loads(explore(*common)[1])["points"]
    host = ("--host-layers", "layer3,layer4,layer5")
    (rest,) = json.loads(explore(*common, *host)[1])["points"]
    assert rest["cycles"] < whole["cycles"] / 2


def test_the_table_and_the_picture(explore: Explore, tmp_path: Path) -> None:
    picture = tmp_path / "explore.png"
    status, out, _ = explore("--cores", "2,24,32", "--plot", str(picture))
    assert status == 0
    assert "designs are on the Pareto front" in out
    assert "2 do not run the model; the first, 4 row lanes and 2 cores" in out
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(10**6)}
    assert (0, 114, 178) in colours
    every = explore("--cores", "24,32", "--all")[1]
    assert every.count("interleaved") > explore("--cores", "24,32")[1].count("interleaved")
    assert "Pareto" in every


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cores", "a"), "expected whole numbers"),
        (("--cores", "0"), "expected whole numbers"),
        (("--frequency", "-1"), "expected MHz above 0"),
        (("--frequency", "nan"), "expected MHz above 0"),
        (("--mapping", "own"), "'own' is not one of both, paper, interleaved"),
        (("--host-layers", "layer9"), "no layer 'layer9'"),
        (("--plot", "x.txt"), "a picture's name ends in"),
        (("--plot", "none/x.png"), "there is no folder none"),
        (("--row-lanes", "6"), "expected a multiple of the 4 gates"),
    ],
)
def test_refused(explore: Explore, options: tuple[str, ...], said: str) -> None:
    status, out, err = explore(*options)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_nothing_to_draw(explore: Explore, tmp_path: Path) -> None:
    picture = tmp_path / "explore.png"
    status, _, err = explore("--cores", "2", "--plot", str(picture))
    assert status == 2
    assert "nothing to draw" in err
    assert not picture.exists()
