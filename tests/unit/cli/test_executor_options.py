from __future__ import annotations

import pytest

from sparsespeech import machine
from sparsespeech.cli.executor_options import threads_of_process


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
