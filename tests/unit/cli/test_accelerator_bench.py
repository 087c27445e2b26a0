"""``bench mapping`` and ``--backend simulator``: they publish, and refuse what means nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sparsespeech.benchmarks import accelerator_density
from sparsespeech.benchmarks.accelerator_density import SimulatedDensityOptions
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.cli.main import main
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.reader import read_model


def test_a_simulated_bench_is_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, output = tmp_path / "page.md", tmp_path / "result.json"
    status = main(["bench", "deepbench", "--backend", "simulator", "--quick", "--json",
                   "--markdown", str(page), "--output", str(output),
                   "--plot", str(tmp_path / "x.png")])  # fmt: skip
    captured = capsys.readouterr()
    assert status == 0
    answer = json.loads(captured.out)
    assert answer["bench"] == "deepbench-simulator"
    assert answer == json.loads(output.read_text())
    assert {"real_tops", "effective_tops"} <= set(answer["figures"])
    assert "S2's arithmetic" in page.read_text()
    assert main(["bench", "report", str(output), "--plot", str(tmp_path / "y.svg")]) == 0


def test_mapping_takes_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "mapping", "--model", "english-small", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["config"]["weights"] == "english-small"
    assert answer["figures"]["cores"] <= 34


def test_the_dense_model_is_named_by_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name and digest, no folder: results of one file are the same wherever it lies."""
    file = tmp_path / "dense.safetensors"
    content = resolve_model("an4").read_bytes()
    file.write_bytes(content)

    def run(wanted: SimulatedDensityOptions) -> BenchResult:
        assert wanted.dense is not None
        assert wanted.dense.model.graph == read_model(file).graph
        return BenchResult(
            "density-simulator",
            {"dense": [wanted.dense.file, wanted.dense.sha256], "full": wanted.full is not None},
        )

    monkeypatch.setattr(accelerator_density, "run_density_simulated", run)
    assert main(["bench", "density", "--backend", "simulator", "--quick", "--json",
                 "--dense-model", str(file)]) == 0  # fmt: skip
    answer = json.loads(capsys.readouterr().out)
    assert answer["config"] == {
        "dense": ["dense.safetensors", hashlib.sha256(content).hexdigest()],
        "full": False,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("latency --backend foo", "'foo' is not one of cpu, simulator"),
        ("latency --backend simulator --rounds 3", "--backend simulator does not take this"),
        ("latency --backend simulator --peers none", "--backend simulator does not take this"),
        ("throughput --backend simulator --threads 1", "--backend simulator does not take this"),
        ("density --backend simulator --rounds 1", "--backend simulator does not take this"),
        ("latency --target tiny", "--backend cpu does not take this"),
        ("throughput --target tiny", "--backend cpu does not take this"),
        ("deepbench --markdown x.md", "--backend cpu does not take this"),
        ("density --model an4", "--backend cpu does not take this"),
        ("density --dense-model an4", "--backend cpu does not take this"),
        ("density --backend simulator --dense-model none.safetensors", "none.safetensors: no such"),
        ("mapping --target nope", "target 'nope' does not exist"),
        ("mapping --model none.safetensors", "none.safetensors"),
        ("mapping --model an4 --target tiny", "the model needs"),
    ],
)
def test_refused(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err.splitlines()[-1]
