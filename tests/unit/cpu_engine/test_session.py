from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import SessionFinishedError, UnsupportedLayerError
from sparsespeech.model_file.model import IntegerModel
from tests.random_models import random_integer_model

Windows = Callable[[int], Any]


def test_chunks_are_the_whole(executor: CpuExecutor, windows: Windows) -> None:
    given = windows(23)
    session = executor.stream()
    cuts = [0, 1, 1, 4, 20, 23]
    chunks = [session.push(given[a:b]) for a, b in itertools.pairwise(cuts)]
    assert [len(chunk) for chunk in chunks] == [1, 0, 3, 16, 3]
    assert np.array_equal(np.concatenate(chunks), executor.run(given))
    assert session.frames == 23


def test_sessions_do_not_share_anything(executor: CpuExecutor, windows: Windows) -> None:
    a, b = windows(6), windows(6)
    first, second = executor.stream(), executor.stream()
    interleaved = [
        (first.push(a[n : n + 2]), executor.run(b), second.push(b[n : n + 2])) for n in (0, 2, 4)
    ]
    assert np.array_equal(np.concatenate([x for x, _, _ in interleaved]), executor.run(a))
    assert np.array_equal(np.concatenate([x for _, _, x in interleaved]), executor.run(b))


def test_state_is_small_and_does_not_grow(executor: CpuExecutor, windows: Windows) -> None:
    session = executor.stream()
    before = session.state_bytes
    session.push(windows(50))
    assert session.state_bytes == before
    assert before == 20 * 2 + 20  # int16 cells and uint8 outputs


def test_nothing_after_finish(executor: CpuExecutor, windows: Windows) -> None:
    session = executor.stream()
    session.push(windows(4))
    assert not session.finished
    session.finish()
    assert session.finished
    other = executor.stream()
    for call in (
        lambda: session.push(windows(1)),
        session.finish,
        lambda: executor.step_sessions([other, session], [windows(2), windows(2)]),
    ):
        with pytest.raises(SessionFinishedError, match="finished after 4 frames .* start a new"):
            call()
    given = windows(3)  # the refused step left the other session as it was
    assert np.array_equal(other.push(given), executor.run(given))


def test_model_that_reads_backwards(engine: str) -> None:
    executor = CpuExecutor(random_integer_model(np.random.default_rng(1), hidden=4), threads=1)
    with pytest.raises(UnsupportedLayerError, match="needs a unidirectional model; layer 'layer3'"):
        executor.stream()


# ---- steps of several sessions ---------------------------------------------------------------


def test_steps_of_ragged_chunks(executor: CpuExecutor, windows: Windows) -> None:
    lengths = [[3, 1, 0, 5], [0, 0, 2, 1], [4, 4, 4, 4]]  # chunk by chunk, a row a session
    given = [windows(sum(row)) for row in lengths]
    sessions = [executor.stream() for _ in given]
    parts: list[list[Any]] = [[] for _ in given]
    done = [0, 0, 0]
    for step in range(4):
        chunks = []
        for number, row in enumerate(lengths):
            chunks.append(given[number][done[number] : done[number] + row[step]])
            done[number] += row[step]
        for part, logits in zip(parts, executor.step_sessions(sessions, chunks), strict=True):
            part.append(logits)
    for part, whole in zip(parts, given, strict=True):
        assert np.array_equal(np.concatenate(part), executor.run(whole))


def test_steps_that_make_no_sense(
    engine: str, executor: CpuExecutor, model: IntegerModel, windows: Windows
) -> None:
    session, foreign = executor.stream(), CpuExecutor(model, threads=1).stream()
    chunk = windows(1)
    with pytest.raises(ValueError, match="got 1 sessions and 2 chunks"):
        executor.step_sessions([session], [chunk, chunk])
    with pytest.raises(ValueError, match="occurs twice"):
        executor.step_sessions([session, session], [chunk, chunk])
    with pytest.raises(ValueError, match="belongs to another executor"):
        executor.step_sessions([foreign], [chunk])
    assert executor.step_sessions([], []) == []
