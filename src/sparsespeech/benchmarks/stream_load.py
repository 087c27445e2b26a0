"""Many live streams on one engine: how long each chunk waits and computes.

Axes: S streams, t frames of a chunk, W inputs of one window, V labels.

A stream brings a chunk of 320 ms (16 frames) every 320 ms. Whatever waits is stepped together; what
comes in meanwhile waits for the next step. Computing takes real time; the clock between the steps
is simulated, so that an engine without work costs no time to measure.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.engine import Engine, check_equal, reference_logits
from sparsespeech.benchmarks.measurement import quantile
from sparsespeech.model_file.model import IntegerModel

CHUNK_FRAMES = 16
CHUNK_SECONDS = 0.32
TRIES = 2  # of each load
Arrivals = Literal["together", "spread"]


@dataclass(frozen=True, eq=False)
class SpokenChunks:
    """A few utterances cut into chunks, with the reference's logits of each chunk."""

    windows: list[list[NDArray[np.uint8]]]  # by utterance and chunk, uint8[16, W]
    logits: list[list[NDArray[np.int64]]]  # int64[16, V]

    @classmethod
    def of(cls, model: IntegerModel, utterances: Sequence[NDArray[np.uint8]]) -> SpokenChunks:
        """Cut ``utterances`` uint8[T, W]; T must be a multiple of 16."""
        return cls(
            [_chunks(windows) for windows in utterances],
            [_chunks(reference_logits(model, windows)) for windows in utterances],
        )


@dataclass(frozen=True)
class LoadResult:
    """Latencies of all chunks, from the arrival of a chunk to its logits, in seconds."""

    streams: int
    latencies: tuple[float, ...]
    largest_step: int  # chunks
    busy: float  # share of the time that the engine computed; above 1 it falls behind

    @property
    def p99(self) -> float:
        """99th percentile, in seconds."""
        return quantile(self.latencies, 0.99)


class StreamLoad:
    """Plays live streams to one engine and compares every logit."""

    def __init__(self, engine: Engine, chunks: SpokenChunks) -> None:
        self._engine = engine
        self._chunks = chunks

    def play(self, streams: int, chunks_each: int, arrivals: Arrivals) -> LoadResult:
        """``streams`` streams of ``chunks_each`` chunks; utterances follow one another.

        "together": all chunks come at the same moment, the worst case. "spread": evenly over the
        320 ms. Raises BenchmarkError if any logit differs from the reference's.
        """
        offset = 0.0 if arrivals == "together" else CHUNK_SECONDS / streams
        players = [_Player(self._engine, self._chunks, number) for number in range(streams)]
        # (arrival, stream) of the next chunk of each stream; chunks of one stream keep their order
        coming = [(number * offset, number) for number in range(streams)]
        heapq.heapify(coming)
        left = [chunks_each] * streams
        now, busy, largest = 0.0, 0.0, 0
        latencies: list[float] = []
        while coming:
            now = max(now, coming[0][0])
            due = []
            while coming and coming[0][0] <= now:
                due.append(heapq.heappop(coming))
            seconds = self._step([players[number] for _, number in due])
            now += seconds
            busy += seconds
            largest = max(largest, len(due))
            latencies += [now - arrival for arrival, _ in due]
            for arrival, number in due:
                left[number] -= 1
                if left[number]:
                    heapq.heappush(coming, (arrival + CHUNK_SECONDS, number))
        return LoadResult(streams, tuple(latencies), largest, busy / (chunks_each * CHUNK_SECONDS))

    def _step(self, players: list[_Player]) -> float:
        sessions = [player.session for player in players]
        windows = [player.windows for player in players]
        start = time.perf_counter()
        results = self._engine.step_sessions(sessions, windows)
        seconds = time.perf_counter() - start
        for player, logits in zip(players, results, strict=True):
            check_equal("a step of many streams", logits, player.expected)
            player.advance()
        return seconds


class _Player:
    """One stream: which utterance it speaks, how far it is, and its session."""

    def __init__(self, engine: Engine, chunks: SpokenChunks, number: int) -> None:
        self._engine = engine
        self._chunks = chunks
        self._utterance = number % len(chunks.windows)
        self._position = 0
        self.session: Any = engine.stream()

    @property
    def windows(self) -> NDArray[np.uint8]:
        return self._chunks.windows[self._utterance][self._position]

    @property
    def expected(self) -> NDArray[np.int64]:
        return self._chunks.logits[self._utterance][self._position]

    def advance(self) -> None:
        self._position += 1
        if self._position == len(self._chunks.windows[self._utterance]):
            self._position = 0
            self._utterance = (self._utterance + 1) % len(self._chunks.windows)
            self.session = self._engine.stream()


def most_streams(
    load: StreamLoad,
    arrivals: Arrivals,
    *,
    limit_seconds: float,
    chunks_each: int,
    first: int,
    precision: float = 0.04,
) -> tuple[LoadResult | None, list[LoadResult]]:
    """The largest load found whose p99 is at most ``limit_seconds``, and all loads tried.

    Doubles from ``first``, then halves the gap until it is ``precision`` of the load. A load that
    misses the limit has a second try: a slow spell of the machine must not end the search. None if
    one stream is too much.
    """
    tried: list[LoadResult] = []

    def fits(streams: int) -> bool:
        for _ in range(TRIES):
            tried.append(load.play(streams, chunks_each, arrivals))
            if tried[-1].p99 <= limit_seconds and tried[-1].busy <= 1.0:
                return True
        return False

    low, high = 0, first
    while fits(high):
        low, high = high, 2 * high
    while high - low > max(1, round(precision * low)):
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    fitting = [result for result in tried if result.streams == low]
    return (fitting[-1] if fitting else None), tried


def _chunks(frames: NDArray[Any]) -> list[NDArray[Any]]:
    pieces = np.split(frames, len(frames) // CHUNK_FRAMES)
    return [np.ascontiguousarray(piece) for piece in pieces]
