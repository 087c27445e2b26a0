from __future__ import annotations

import pytest

from sparsespeech import machine
from sparsespeech.cpu_engine.threads import SMALL_MODEL_NONZEROS, resolve_threads
from sparsespeech.errors import BackendError


@pytest.fixture(autouse=True)
def five_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_threads", lambda: 5)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)


def test_auto_is_what_may_be_used() -> None:
    assert resolve_threads() == 5


def test_small_models_run_on_one_thread_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert resolve_threads(nonzeros=SMALL_MODEL_NONZEROS - 1) == 1
    assert resolve_threads(nonzeros=SMALL_MODEL_NONZEROS) == 5
    assert resolve_threads(4, nonzeros=10) == 4
    monkeypatch.setenv("SPARSESPEECH_THREADS", "3")
    assert resolve_threads(nonzeros=10) == 3


@pytest.mark.parametrize(("setting", "threads"), [("3", 3), ("", 5), ("auto", 5)])
def test_variable_decides_auto(monkeypatch: pytest.MonkeyPatch, setting: str, threads: int) -> None:
    monkeypatch.setenv("SPARSESPEECH_THREADS", setting)
    assert resolve_threads() == threads
    assert resolve_threads(2) == 2


@pytest.mark.parametrize("threads", [0, -1, 1025, 2.0, True, None, "4"])
def test_impossible_numbers(threads: object) -> None:
    with pytest.raises(BackendError, match=f"threads is {threads!r}, expected 'auto' or a number"):
        resolve_threads(threads)


@pytest.mark.parametrize("setting", ["0", "-2", "two", "1.5", "5000", "²"])
def test_impossible_variable(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SPARSESPEECH_THREADS", setting)
    with pytest.raises(BackendError, match="SPARSESPEECH_THREADS is "):
        resolve_threads()
