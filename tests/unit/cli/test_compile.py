"""``sparsespeech compile`` from its arguments to table, JSON, program file and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsespeech.cli.main import main
from sparsespeech.compiler.lower import PASSES
from sparsespeech.compiler.program_file import load_program
from sparsespeech.model_file.writer import write_model
from tests.compiled_programs import small_model

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


def test_auto_mapping_has_the_lower_model(run: Run) -> None:
    cycles = {
        mapping: json.loads(run("--json", "--mapping", mapping)[1])["modelled_latency_cycles"]
        for mapping in ("paper", "interleaved", "auto")
    }
    assert cycles["auto"] == min(cycles.values())


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
        (("--host-layers", "layer2"), ("expected the last 1: layer5",)),
        (("--host-layers", "layer9"), ("no layer 'layer9'",)),
        (("--config", "no.toml"), ("no.toml", "cannot be read as TOML")),
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


def test_model_of_another_kind(run: Run, tmp_path: Path) -> None:
    write_model(small_model(1, projection=4), tmp_path / "m.safetensors")
    assert_refused(run(), "'layer3' projects its outputs", "--backend cpu")
