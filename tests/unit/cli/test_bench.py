from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparsespeech.benchmarks import density, engine, measurement
from sparsespeech.cli import bench
from sparsespeech.cli.main import main
from sparsespeech.errors import BackendError
from tests.reference_engine import ReferenceEngine


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference in place of the engine, on matrices of a few rows."""
    monkeypatch.setattr(engine, "cpu_engine", lambda: ReferenceEngine)
    monkeypatch.setattr(measurement, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(density, "QUICK_DIVISOR", 256)
    monkeypatch.setattr(bench, "BUSY_LOAD", 1e9)


@pytest.mark.usefixtures("_small")
def test_one_json_object_on_stdout_in_the_file_and_as_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plot = tmp_path / "density.json", tmp_path / "density.svg"
    arguments = ["bench", "density", "--quick", "--peers", "none", "--threads", "1", "--json"]
    assert main([*arguments, "--output", str(output), "--plot", str(plot)]) == 0
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert list(answer) == ["bench", "machine", "config", "figures", "rows"]
    assert answer["bench"] == "density"
    assert answer["config"]["rounds"] == bench.QUICK_ROUNDS
    assert json.loads(output.read_text()) == answer
    assert plot.read_text().startswith("<?xml")
    assert "measuring input part" in shown.err


@pytest.mark.usefixtures("_small")
def test_a_kept_result_is_shown_and_drawn_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, plot = tmp_path / "density.json", tmp_path / "density.svg"
    first = tmp_path / "first.svg"
    arguments = ["bench", "density", "--quick", "--peers", "none", "--threads", "1"]
    assert main([*arguments, "--output", str(output), "--plot", str(first)]) == 0
    capsys.readouterr()
    assert main(["bench", "report", str(output), "--json", "--plot", str(plot)]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(output.read_text())
    texts = [re.findall(r"<!-- (.*?) -->", path.read_text()) for path in (first, plot)]
    assert texts[0] == texts[1] != []
    assert main(["bench", "report", str(output), str(output)]) == 2
    assert "two results hold the figure" in capsys.readouterr().err
    assert main(["bench", "report", str(output), "--markdown", str(tmp_path / "x.md")]) == 2
    assert "bench density has no Markdown form" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("9" * 5000, "not JSON"),
        ("[]", "not the result of a benchmark"),
    ],
)
def test_a_result_that_is_none_is_refused(
    content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(content)
    assert main(["bench", "report", str(tmp_path / "x.json")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "x.json" in said
    assert said.count("\n") == 1


def without(key: str) -> Callable[[dict[str, Any]], None]:
    def spoil(result: dict[str, Any]) -> None:
        for row in result["rows"]:
            row.pop(key, None)

    return spoil


def everywhere(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def spoil(result: dict[str, Any]) -> None:
        for row in result["rows"]:
            row[key] = value

    return spoil


def without_dense(result: dict[str, Any]) -> None:
    """The row that the others of the published single runs are compared with."""
    result["rows"] = [
        row
        for row in result["rows"]
        if row["table"] != "published, single runs" or row["sparsity"] > 0
    ]


@pytest.mark.parametrize(
    ("spoil", "options", "message"),
    [
        (lambda result: result.update(machine={}), [], "machine does not say processor"),
        (lambda result: result.update(bench="x"), [], "there is no bench 'x'"),
        (lambda result: result.update(rows=[]), [], "it has no rows"),
        (lambda result: result["machine"].update(cpu_flags=3), [], "rows or settings"),
        (lambda result: result["config"].update(left_out=3), [], "rows or settings"),
        (without("wer"), ["--markdown"], "'wer' is missing"),
        (without("wer"), ["--plot"], "'wer' is missing"),
        (without("weights"), ["--markdown"], "'weights' is missing"),
        (everywhere("wer", "x"), ["--markdown"], "rows or settings"),
        (everywhere("wer", "x"), ["--plot"], "rows or settings"),
        (without_dense, ["--markdown"], "rows or settings"),
        (lambda result: result.update(bench="long_stream"), ["--plot"], "has no picture"),
    ],
)
def test_a_result_that_was_changed_is_one_line_and_status_2(
    spoil: Callable[[dict[str, Any]], None],
    options: list[str],
    message: str,
    repository: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = json.loads((repository / "benchmarks/results/bench-accuracy.json").read_text())
    spoil(result)
    (tmp_path / "x.json").write_text(json.dumps(result))
    target = tmp_path / ("x.md" if "--markdown" in options else "x.svg")
    options = [*options, str(target)] if options else []
    assert main(["bench", "report", str(tmp_path / "x.json"), *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sparsespeech: error: ")
    assert message in error
    assert error.count("\n") == 1
    if "no picture" not in message:
        assert str(tmp_path / "x.json") in error
    assert not target.exists()


def test_brackets_in_a_cell_are_shown_as_they_are(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = json.loads((repository / "benchmarks/results/bench-training.json").read_text())
    result["rows"][0]["notes"] = "[/red]"
    (tmp_path / "x.json").write_text(json.dumps(result))
    assert main(["bench", "report", str(tmp_path / "x.json")]) == 0
    assert "[/red]" in capsys.readouterr().out


@pytest.mark.usefixtures("_small")
def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "density", "--quick", "--peers", "none", "--rounds", "1"]) == 0
    shown = capsys.readouterr().out
    for words in ("bench density on", "input part, 50 vectors", "break_even_density", "sparse"):
        assert words in shown


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--peers", "tensorrt"], "there is no peer 'tensorrt'"),
        (["--plot", "x.gif", "--peers", "none"], "a picture's name ends in"),
    ],
)
def test_impossible_wishes_are_one_line_and_status_2(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "density", "--quick", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("sparsespeech: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_an_absent_engine_is_one_line_and_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise BackendError("the benchmarks measure the CPU engine, which cannot be used here")

    monkeypatch.setattr(engine, "cpu_engine", absent)
    assert main(["bench", "latency"]) == 2
    assert "cannot be used here" in capsys.readouterr().err


def test_a_busy_machine_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (3.25, 0.0, 0.0))
    monkeypatch.setattr(engine, "cpu_engine", lambda: ReferenceEngine)
    bench._settings(1, 1, True, "none", None)
    assert "other programs compute on this machine (load 3.2)" in capsys.readouterr().err


def test_help_names_every_benchmark(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("latency", "throughput", "density", "deepbench", "lstmp", "training"):
        assert name in shown
