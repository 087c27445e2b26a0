"""Live streams against engines whose steps take a known time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.benchmarks import stream_load
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.benchmarks.stream_load import (
    CHUNK_FRAMES,
    LoadResult,
    SpokenChunks,
    StreamLoad,
    most_streams,
)
from sparsespeech.errors import BenchmarkError
from sparsespeech.model_file.model import IntegerModel
from tests.reference_engine import ReferenceEngine


class _Clocked:
    """Repeats the expected logits; a step takes ``fixed`` seconds and ``each`` for each chunk."""

    def __init__(
        self, chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch, fixed: float, each: float
    ) -> None:
        self._now = 0.0
        self._fixed, self._each = fixed, each
        self._answers = {
            windows.tobytes(): logits
            for utterance, answers in zip(chunks.windows, chunks.logits, strict=True)
            for windows, logits in zip(utterance, answers, strict=True)
        }
        self.steps: list[int] = []
        self.sessions = 0
        monkeypatch.setattr(stream_load.time, "perf_counter", lambda: self._now)

    def stream(self) -> object:
        self.sessions += 1
        return object()

    def step_sessions(
        self, sessions: Sequence[Any], windows: Sequence[NDArray[np.uint8]]
    ) -> list[NDArray[np.int64]]:
        assert len(set(map(id, sessions))) == len(sessions)
        self.steps.append(len(sessions))
        self._now += self._fixed + self._each * len(sessions)
        return [self._answers[chunk.tobytes()] for chunk in windows]


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return make_random_model(16, bidirectional=False)


@pytest.fixture(scope="module")
def chunks(model: IntegerModel) -> SpokenChunks:
    frames = 3 * CHUNK_FRAMES
    speech = FrontEnd.of_model(model).windows(bundled_speech(2.0))
    return SpokenChunks.of(model, [speech[:frames], speech[frames : 2 * frames]])


def test_chunks_are_those_of_whole_utterances(model: IntegerModel, chunks: SpokenChunks) -> None:
    for windows, logits in zip(chunks.windows, chunks.logits, strict=True):
        whole = ReferenceEngine(model, threads=1).run(np.concatenate(windows))
        assert np.array_equal(np.concatenate(logits), whole)


@pytest.mark.parametrize("arrivals", ["together", "spread"])
def test_a_real_engine_passes(model: IntegerModel, chunks: SpokenChunks, arrivals: Any) -> None:
    load = StreamLoad(ReferenceEngine(model, threads=1), chunks)
    result = load.play(3, 7, arrivals)  # longer than an utterance: new sessions start
    assert len(result.latencies) == 21
    assert all(latency > 0 for latency in result.latencies)


def test_wrong_logits_end_the_benchmark(model: IntegerModel, chunks: SpokenChunks) -> None:
    load = StreamLoad(ReferenceEngine(model, threads=1, wrong=1), chunks)
    with pytest.raises(BenchmarkError, match="a step of many streams"):
        load.play(2, 1, "together")


def test_together_everybody_waits_for_everybody(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.01, each=0.002)
    result = StreamLoad(engine, chunks).play(20, 5, "together")
    assert engine.steps == [20] * 5
    assert result.latencies == pytest.approx([0.05] * 100)
    assert result.busy == pytest.approx(0.05 / 0.32)
    assert result.largest_step == 20


def test_spread_chunks_are_computed_as_they_come(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.0, each=0.002)
    result = StreamLoad(engine, chunks).play(20, 5, "spread")  # one comes every 16 ms
    assert engine.steps == [1] * 100
    assert result.latencies == pytest.approx([0.002] * 100)


def test_what_comes_during_a_step_is_the_next_step(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.1, each=0.0)
    result = StreamLoad(engine, chunks).play(16, 3, "spread")  # one comes every 20 ms
    assert engine.steps[:3] == [1, 5, 5]
    assert max(result.latencies) == pytest.approx(0.2)  # came just after a step had begun


def test_an_engine_that_falls_behind_is_seen(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.0, each=0.04)
    result = StreamLoad(engine, chunks).play(10, 6, "spread")
    assert result.busy == pytest.approx(0.4 / 0.32)
    assert result.latencies[-1] > result.latencies[10]


def test_a_stream_starts_a_session_for_each_utterance(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.0, each=0.001)
    StreamLoad(engine, chunks).play(2, 7, "together")
    assert engine.sessions == 2 * 3  # chunks 1 to 3, 4 to 6, 7


@pytest.mark.parametrize("first", [1, 16, 200])
def test_the_largest_load_is_found(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.010, each=0.0005)  # 100 chunks in 60 ms
    best, tried = most_streams(
        StreamLoad(engine, chunks), "together", limit_seconds=0.0601, chunks_each=2, first=first
    )
    assert best is not None
    assert 96 <= best.streams <= 100
    assert best.p99 <= 0.0601
    assert len(tried) < 20
    if first == 16:
        assert [result.streams for result in tried[:4]] == [16, 32, 64, 128]


def test_one_slow_spell_does_not_end_the_search(
    chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=0.010, each=0.0005)
    load = StreamLoad(engine, chunks)
    play, spells = load.play, [False, True]

    def with_a_slow_spell(*given: Any) -> LoadResult:
        result = play(*given)
        slow = bool(spells) and spells.pop(0)
        return replace(result, latencies=(9.0,)) if slow else result

    monkeypatch.setattr(load, "play", with_a_slow_spell)
    best, tried = most_streams(load, "together", limit_seconds=0.0601, chunks_each=2, first=16)
    assert [result.streams for result in tried[:4]] == [16, 32, 32, 64]
    assert best is not None
    assert best.streams >= 96
    assert best.p99 < 9


def test_no_stream_may_fit(chunks: SpokenChunks, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = _Clocked(chunks, monkeypatch, fixed=1.0, each=0.0)
    best, tried = most_streams(
        StreamLoad(engine, chunks), "together", limit_seconds=0.06, chunks_each=2, first=4
    )
    assert best is None
    assert [result.streams for result in tried] == [4, 4, 2, 2, 1, 1]
