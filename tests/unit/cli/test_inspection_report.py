"""``inspect --html`` writes a page, and says in one line why it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from sparsespeech.report.model_report import ReportSources
from tests.random_models import random_integer_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = random_integer_model(np.random.default_rng(0), hidden=6)
    write_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_page_is_written_and_named(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(model: str, sources: ReportSources, advance: Callable[[str, int], None]) -> str:
        advance("layer1.weights", 1)
        return f"{model} {sources}"

    monkeypatch.setattr("sparsespeech.cli.inspection_report.build_report", page)
    html = path.with_name("report.html")
    options = ["--run", "r", "--dense", "d", "--pruned", "p", "--sweep", "s"]
    assert main(["inspect", str(path), "--html", str(html), *options]) == 0
    assert capsys.readouterr().out == f"report: {html}\n"
    sources = ReportSources(Path("r"), Path("d"), Path("p"), Path("s"))
    assert html.read_text() == f"{path} {sources}"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--run", "x"], "give --html PATH too"),
        (["--dense", "x"], "give --html PATH too"),
        (["--html", "no/such/folder/x.html"], "existing folder"),
        (["--html", "."], "existing folder"),
        (["--html", "x.html", "--json"], "leave out --json"),
        (["--html", "x.html", "--run", "no-run"], "log.jsonl"),
        (["--html", "x.html", "--dense", "no-run"], "no checkpoint here"),
        (["--html", "x.html", "--pruned", "no-run"], "no checkpoint here"),
        (["--html", "x.html", "--sweep", "no.json"], "cannot read the points"),
    ],
)
def test_bad_option_is_one_line_and_status_2(
    path: Path,
    options: list[str],
    reason: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(path.parent)
    assert main(["inspect", str(path), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert reason in captured.err
    assert not Path("x.html").exists()


def test_failed_report_leaves_the_old_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html = path.with_name("report.html")
    html.write_text("old")
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["inspect", str(path), "--html", str(html)]) == 2
    assert html.read_text() == "old"
    assert [file.name for file in path.parent.glob(".*")] == []
    assert capsys.readouterr().err.count("\n") == 1
