"""``bench mapping`` and ``--backend simulator``: they publish, and refuse what means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sparsespeech.cli.main import main


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
    assert main(["bench", "mapping", "--model", "an4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["config"]["weights"] == "an4-sparse"
    assert answer["figures"]["cores"] <= 34


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
