from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine.batcher import SessionBatcher
from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import (
    EngineMemoryError,
    InputWindowsError,
    SessionFinishedError,
    UnsupportedLayerError,
)
from tests.random_models import random_integer_model

Windows = Callable[[int], Any]
WAIT_S = 60


@pytest.fixture
def batcher(executor: CpuExecutor) -> Iterator[SessionBatcher]:
    with executor.batcher() as batcher:
        yield batcher


class Gate:
    """Holds every step of an executor back until it is opened; keeps the sizes of the steps."""

    def __init__(self, executor: CpuExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        self.steps: list[int] = []
        step = executor.step_sessions

        def held(sessions: Any, windows: Any) -> Any:
            self.steps.append(len(sessions))
            self.entered.set()
            assert self.opened.wait(WAIT_S)
            return step(sessions, windows)

        monkeypatch.setattr(executor, "step_sessions", held)


def test_streams_in_threads(
    executor: CpuExecutor, batcher: SessionBatcher, windows: Windows
) -> None:
    given = [windows(frames) for frames in (40, 7, 1, 0, 25, 33)]
    expected = [executor.run(each) for each in given]
    results: dict[int, Any] = {}

    def speak(number: int) -> None:
        session = batcher.session()
        size = number + 1
        chunks = range(0, max(1, len(given[number])), size)
        results[number] = np.concatenate(
            [session.push(given[number][start : start + size]) for start in chunks]
        )
        session.finish()

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    for number, logits in enumerate(expected):
        assert np.array_equal(results[number], logits)


def test_what_waits_goes_together(
    executor: CpuExecutor, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(executor, monkeypatch)
    sessions = [executor.stream() for _ in range(5)]
    given = [windows(4) for _ in sessions]
    with executor.batcher(largest_batch=3) as batcher:
        futures = [batcher.submit(sessions[0], given[0][:1])]
        assert gate.entered.wait(WAIT_S)  # the idle engine has started at once
        futures += [batcher.submit(s, g[1:3]) for s, g in zip(sessions, given, strict=True)]
        futures += [batcher.submit(sessions[0], given[0][3:])]
        gate.opened.set()
        logits = [future.result(WAIT_S) for future in futures]
    # one; three of the five that came meanwhile; the other two and the first one's next chunk
    assert gate.steps == [1, 3, 3]
    whole = np.concatenate([logits[0], logits[1], logits[6]])
    assert np.array_equal(whole, executor.run(given[0]))


def test_chunks_of_one_session_keep_their_order(
    executor: CpuExecutor, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(executor, monkeypatch)
    session, other, given = executor.stream(), executor.stream(), windows(9)
    with executor.batcher() as batcher:
        futures = [batcher.submit(session, given[:1])]
        assert gate.entered.wait(WAIT_S)
        futures += [batcher.submit(session, given[n : n + 2]) for n in (1, 3, 5, 7)]
        batcher.submit(other, given)
        gate.opened.set()
        logits = np.concatenate([future.result(WAIT_S) for future in futures])
    assert np.array_equal(logits, executor.run(given))
    assert gate.steps == [1, 2, 1, 1, 1]


def test_bad_chunks_are_refused_at_once(
    executor: CpuExecutor, batcher: SessionBatcher, windows: Windows
) -> None:
    session = batcher.session()
    with pytest.raises(InputWindowsError, match="float64"):
        session.push(np.zeros((1, 494)))
    given = windows(3)
    assert np.array_equal(session.push(given), executor.run(given))
    session.finish()
    with pytest.raises(SessionFinishedError, match="finished after 3 frames"):
        session.push(given)
    with pytest.raises(InputWindowsError):  # before there is a future
        batcher.submit(executor.stream(), given[:, 1:])
    with pytest.raises(SessionFinishedError):
        session.finish()


def test_one_that_fails_does_not_take_others_with_it(
    executor: CpuExecutor, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(executor, monkeypatch)
    given = windows(5)
    good, ended = executor.stream(), executor.stream()
    with executor.batcher() as batcher:
        first = batcher.submit(executor.stream(), given)
        assert gate.entered.wait(WAIT_S)
        futures = [batcher.submit(good, given), batcher.submit(ended, given)]
        ended.finish()  # while its chunk waits
        gate.opened.set()
        assert first.result(WAIT_S) is not None
        with pytest.raises(SessionFinishedError):
            futures[1].result(WAIT_S)
        assert np.array_equal(futures[0].result(WAIT_S), executor.run(given))


def test_engine_without_memory(
    engine: str, executor: CpuExecutor, batcher: SessionBatcher, windows: Windows
) -> None:
    if engine != "fake":
        pytest.skip("needs a failing engine")
    session, given = batcher.session(), windows(4)
    executor._engine.fail = MemoryError()
    with pytest.raises(EngineMemoryError):
        session.push(given)
    assert np.array_equal(session.push(given), executor.run(given))


def test_cancelled_chunk_is_left_out(
    executor: CpuExecutor, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(executor, monkeypatch)
    session, given = executor.stream(), windows(6)
    with executor.batcher() as batcher:
        first = batcher.submit(session, given[:2])
        assert gate.entered.wait(WAIT_S)
        cancelled = batcher.submit(session, given[2:4])
        last = batcher.submit(session, given[4:])
        assert cancelled.cancel()
        gate.opened.set()
        found = np.concatenate([first.result(WAIT_S), last.result(WAIT_S)])
    assert np.array_equal(found, executor.run(given[[0, 1, 4, 5]]))


def test_close_computes_what_waits(
    executor: CpuExecutor, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(executor, monkeypatch)
    batcher = executor.batcher()
    session, given = executor.stream(), windows(4)
    futures = [batcher.submit(session, given[:1])]
    assert gate.entered.wait(WAIT_S)
    futures += [batcher.submit(session, given[1:2]), batcher.submit(session, given[2:])]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    gate.opened.set()
    closing.join(WAIT_S)
    assert all(future.done() for future in futures)
    logits = np.concatenate([future.result() for future in futures])
    assert np.array_equal(logits, executor.run(given))
    batcher.close()
    with pytest.raises(SessionFinishedError, match="the batcher is closed"):
        batcher.submit(executor.stream(), given)


def test_arguments(engine: str, executor: CpuExecutor) -> None:
    with pytest.raises(ValueError, match="largest_batch is 0"):
        executor.batcher(largest_batch=0)
    backwards = CpuExecutor(random_integer_model(np.random.default_rng(1), hidden=4), threads=1)
    with backwards.batcher() as batcher, pytest.raises(UnsupportedLayerError):
        batcher.session()
