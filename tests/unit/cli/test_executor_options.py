from __future__ import annotations

import pytest

from sparsespeech import machine
from sparsespeech.cli.executor_options import threads_of_process
from sparsespeech.cli.main import main


@pytest.mark.parametrize(
    ("threads", "jobs", "share"),
    [(None, 1, "auto"), (None, 2, 3), (None, 4, 1), (None, 50, 1), (5, 1, 5), (5, 3, 5)],
)
def test_processes_share_the_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, jobs: int, share: object
) -> None:
    monkeypatch.setattr(machine, "usable_threads", lambda: 6)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)
    assert threads_of_process(threads, jobs) == share


@pytest.mark.parametrize("command", ["demo", "evaluate", "stream", "transcribe"])
def test_help_names_the_options_that_a_command_has(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--backend" in shown
    assert ("--target" in shown) == (command == "transcribe")
