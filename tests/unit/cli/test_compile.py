"""``sparsespeech compile`` from its arguments to table, JSON, program file and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsespeech import compilation
from sparsespeech.accelerator_config import target
from sparsespeech.cli.main import main
from sparsespeech.compiler.lower import PASSES
from sparsespeech.compiler.mapping_report import map_graph
from sparsespeech.compiler.program import MAPPINGS
from sparsespeech.compiler.program_file import load_program
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Lstm, Output
from sparsespeech.model_file.writer import write_model
from tests.compiled_programs import small_model
from tests.random_models import random_model_of_graph

Run = Callable[..., tuple[int, str, str]]
GRID_TOML = """
grid_rows = 4
grid_columns = 8
cores = 32
windows = 2
window_columns = 8
slots = 32
sequence_bytes = 1024
"""


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    model = tmp_path / "m.safetensors"
    write_model(small_model(1), model)
    config = tmp_path / "grid.toml"
    config.write_text(GRID_TOML)

    def compile_(*arguments: object) -> tuple[int, str, str]:
        base = ["compile", str(model), "--target", "tiny", "--config", str(config)]
        status = main([*base, *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return compile_


def test_table(run: Run) -> None:
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "paper mapping" in out
    for text in ("layer1", "layer3", "bidirectional LSTM", "efficiency", "of 32", "closed form"):
        assert text in out
    assert "on the host: layer4, layer5" in out


def test_json(run: Run) -> None:
    status, out, _ = run("--json", "--mapping", "interleaved")
    figures = json.loads(out)
    assert status == 0
    assert figures["mapping"] == "interleaved"
    assert [layer["layer"] for layer in figures["layers"]] == ["layer1", "layer2", "layer3"]
    assert figures["cores_used"] == sum(layer["cores"] for layer in figures["layers"])
    assert figures["host_layers"] == ["layer4", "layer5"]
    assert figures["passes"] == [step.__name__ for step in PASSES]
    assert figures["modelled_latency_ms"] == pytest.approx(
        figures["modelled_latency_cycles"] / 100e3
    )


@pytest.mark.parametrize("objective", ["latency", "throughput"])
def test_auto_mapping_says_what_it_took_and_why(run: Run, objective: str) -> None:
    arguments = ("--mapping", "auto", "--objective", objective)
    figures = json.loads(run(*arguments, "--json")[1])
    choice = figures["mapping_choice"]
    cycles = {one["mapping"]: one["cycles"] for one in choice["counts"]}
    assert set(cycles) == {"paper", "interleaved"}
    assert (choice["objective"], choice["source"]) == (objective, "simulated")
    assert cycles[choice["mapping"]] == min(cycles.values())
    assert figures["mapping"] == choice["mapping"]
    _, out, _ = run(*arguments)
    words = " ".join(out.split())
    assert f"{choice['mapping']} mapping chosen by simulated " in words
    shown = {name: f"{value:,.1f}".removesuffix(".0") for name, value in cycles.items()}
    assert all(f"{mapping} {figure} cycles" in words for mapping, figure in shown.items())
    assert json.loads(run("--json")[1])["mapping_choice"] is None


def test_auto_mapping_takes_what_compiles_and_dumps_its_plans(run: Run, tmp_path: Path) -> None:
    narrow = GRID_TOML.replace("cores = 32", "cores = 8") + "weight_words = 6\n"
    (tmp_path / "grid.toml").write_text(narrow)
    status, out, err = run("--mapping", "auto", "--dump", tmp_path / "plans")
    assert (status, err) == (0, "")
    words = " ".join(out.split())
    assert "interleaved mapping chosen by simulated latency of 50 frames: " in words
    assert "paper does not compile (the model needs 10 cores" in words
    files = sorted((tmp_path / "plans").iterdir())
    assert len(files) == len(PASSES)
    assert all(json.loads(file.read_text())["mapping"] == "interleaved" for file in files)


def test_plans_are_those_of_the_mapping_that_is_taken(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for taken in MAPPINGS:
        monkeypatch.setattr(
            compilation, "_count", lambda program, *rest, best=taken: float(program.mapping != best)
        )
        assert run("--mapping", "auto", "--dump", tmp_path / taken)[0] == 0
        plans = [json.loads(file.read_text()) for file in (tmp_path / taken).iterdir()]
        assert [plan["mapping"] for plan in plans] == [taken] * len(PASSES)


def test_plans_of_a_mapping_when_neither_compiles(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID_TOML.replace("cores = 32", "cores = 3"))
    assert_refused(run("--mapping", "auto", "--dump", tmp_path / "plans"), "tiny has 3")
    assert [file.name for file in (tmp_path / "plans").iterdir()] == ["1-select_layers.json"]


def test_latency_without_a_recurrent_layer_has_no_steps(run: Run) -> None:
    hosted = run("--host-layers", "layer3,layer4,layer5")[1]
    assert "frames by the closed form" in hosted and "a step" not in hosted
    assert "cycles (106 a step fitted to the MAU paper)" in " ".join(run()[1].split())


def test_program_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.program"
    status, out, _ = run("--output", path, "--host-layers", "layer3, layer4,layer5")
    assert status == 0
    assert f"program: {path}" in out
    assert load_program(path).accelerated == ("layer1", "layer2")


def test_dump_of_every_pass(run: Run, tmp_path: Path) -> None:
    status, _, _ = run("--dump", tmp_path / "plans")
    assert status == 0
    files = sorted((tmp_path / "plans").iterdir())
    assert [file.name for file in files] == [
        f"{number}-{step.__name__}.json" for number, step in enumerate(PASSES, start=1)
    ]
    assert all(json.loads(file.read_text())["target"] == "tiny" for file in files)


# ---- errors ------------------------------------------------------------------------------------


def assert_refused(result: tuple[int, str, str], *parts: str) -> None:
    status, out, err = result
    assert (status, out) == (2, "")
    assert err.startswith("sparsespeech: error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_model_that_does_not_fit(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID_TOML.replace("cores = 32", "cores = 3"))
    assert_refused(run("--output", tmp_path / "a.program"), "needs", "cores", "tiny has 3")
    assert not list(tmp_path.glob("*a.program*"))


def test_dump_before_a_failure_tells_how_far_it_came(run: Run, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID_TOML + "weight_words = 1\n")
    assert_refused(run("--dump", tmp_path / "plans"), "weight words")
    assert [file.name for file in (tmp_path / "plans").iterdir()] == ["1-select_layers.json"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--target", "fpga"), ("'fpga' does not exist", "mau-stratix10")),
        (("--mapping", "both"), ("'both' is not one of paper, interleaved, auto", "--mapping")),
        (("--objective", "power"), ("'power' is not one of latency, throughput", "--objective")),
        (("--objective", "throughput"), ("add --mapping auto", "--objective")),
        (("--host-layers", "layer2"), ("expected the last 1: layer5",)),
        (("--host-layers", "layer9"), ("no layer 'layer9'",)),
        (("--config", "no.toml"), ("no.toml: cannot be read: No such file",)),
        (("--output", "nowhere/a.program"), ("existing folder", "--output")),
        (("--output", "a.bin"), ("must end in .program",)),
    ],
)
def test_arguments_that_cannot_be(
    run: Run, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_refused(run(*arguments), *parts)


def test_dump_into_a_folder_that_exists(run: Run, tmp_path: Path) -> None:
    assert_refused(run("--dump", tmp_path), "exists already", "--dump")


# ---- models that are mapped, and that no program runs yet ---------------------------------------

KINDS = {
    "projection": ({"projection": 4}, "layer 'layer3' projects its outputs"),
    "peephole": ({"peephole": True}, "layer 'layer3' has peephole weights"),
    "wide": ({"wide": True}, "quantize the model with --activation-bits 8"),
    "convolution": ({"convolution": True}, "layer 'conv1' is a convolution"),
    "summed": ({"merge": "sum"}, "layer 'layer3' sums its directions"),
}


@pytest.mark.parametrize("mapping", ["paper", "interleaved", "auto"])
@pytest.mark.parametrize("kind", KINDS)
def test_mapping_of_a_model_that_no_program_runs(
    run: Run, tmp_path: Path, kind: str, mapping: str
) -> None:
    choices, why = KINDS[kind]
    model = small_model(1, **choices)
    write_model(model, tmp_path / "m.safetensors")
    before = sorted(tmp_path.iterdir())
    program, plans = tmp_path / "a.program", tmp_path / "plans"
    arguments = ("--mapping", mapping, "--output", program, "--dump", plans)
    status, out, err = run(*arguments)
    assert status == 2
    assert err.startswith("sparsespeech: error: no program can be written yet: ")
    assert err.count("\n") == 1 and why in err
    assert "layer3" in out and "efficiency" in out and "on the host: " in out
    status, out, err_of_json = run(*arguments, "--json")
    figures = json.loads(out)
    assert (status, err_of_json) == (2, err)
    assert figures["program"] is None
    assert figures["no_program_because"] in err
    choice = mapping if mapping != "auto" else figures["mapping"]
    report = map_graph(model.graph, target("tiny", tmp_path / "grid.toml"), choice)
    assert figures["layers"] == json.loads(json.dumps(report.to_json()))["layers"]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("board", ["ddese-vu9p", "ese-ku115"])
def test_networks_of_the_ese_decks_are_mapped(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, board: str
) -> None:
    graph = Graph(
        (
            Lstm("lstm1", 24, 16, merge="sum"),
            Lstm("lstm2", 16, 16, bidirectional=False, projection=8, peephole=True),
            Output("output", 8, 5),
        )
    )
    rng = np.random.default_rng(3)
    features = replace(MfccConfig(), coefficients=8, context=1)
    model = random_model_of_graph(rng, graph, features, labels=4)
    write_model(model, tmp_path / "m.safetensors")
    status = main(["compile", str(tmp_path / "m.safetensors"), "--target", board, "--json"])
    captured = capsys.readouterr()
    assert status == 2
    figures = json.loads(captured.out)
    assert figures["target"] == board
    names = [layer["layer"] for layer in figures["layers"]]
    assert names == ["lstm1", "lstm2", "lstm2.projection"]
    assert "'lstm1' sums its directions" in captured.err


def test_a_model_that_neither_fits_nor_runs_is_shown_with_the_cores_it_needs(
    run: Run, tmp_path: Path
) -> None:
    write_model(small_model(1, projection=4), tmp_path / "m.safetensors")
    (tmp_path / "grid.toml").write_text(GRID_TOML.replace("cores = 32", "cores = 3"))
    status, out, err = run()
    assert status == 2
    assert "it does not fit: " in out and "tiny has 3" in out
    assert "projects its outputs" in err
