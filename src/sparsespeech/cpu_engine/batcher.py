"""Continuous batching: the sessions of many streams stepped together, as their chunks come in.

Axes: t frames of a chunk, W inputs of one window (494), V labels with the blank.

A step takes at most one waiting chunk of each session and computes them together; what comes in
meanwhile is the next step. No chunk waits for others to fill a batch, so an idle engine starts at
once and a busy one finds larger batches, which cost less a session.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import SessionFinishedError

if TYPE_CHECKING:
    from sparsespeech.cpu_engine.engine import CpuExecutor
    from sparsespeech.cpu_engine.session import CpuSession

Windows = NDArray[np.uint8]
Logits = NDArray[np.int64]

LARGEST_BATCH = 64  # sessions in one step: the columns of one tile of the kernels


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Windows of one session that wait for their logits."""

    session: CpuSession
    windows: Windows
    logits: Future[Logits] = field(default_factory=Future)


class SessionBatcher:
    """A thread that steps sessions of one executor; all methods may be called from any thread."""

    def __init__(self, executor: CpuExecutor, *, largest_batch: int = LARGEST_BATCH) -> None:
        """Start the thread; ``largest_batch`` sessions at most go into one step."""
        if largest_batch < 1:
            raise ValueError(f"largest_batch is {largest_batch}, expected at least 1")
        self._executor = executor
        self._largest_batch = largest_batch
        self._waiting: deque[_Chunk] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="session-batcher", daemon=True)
        self._thread.start()

    def session(self) -> BatchedSession:
        """A new utterance; raises UnsupportedLayerError for a model that reads backwards."""
        return BatchedSession(self, self._executor.stream())

    def submit(self, session: CpuSession, windows: Windows) -> Future[Logits]:
        """The logits int64[t, V] to come of the next windows uint8[t, W] of ``session``.

        The chunks of one session are computed in the order of their submission. A chunk whose
        future is cancelled before its step is left out. Raises InputWindowsError, and
        SessionFinishedError if the session or the batcher is closed; the future may raise
        EngineMemoryError.
        """
        self._executor.check_windows(windows)
        session.check_unfinished()
        chunk = _Chunk(session, windows)
        with self._change:
            if self._closed:
                raise SessionFinishedError("the batcher is closed and takes no more chunks")
            self._waiting.append(chunk)
            self._change.notify()
        return chunk.logits

    def close(self) -> None:
        """Compute what waits, then end the thread; does nothing the second time."""
        with self._change:
            self._closed = True
            self._change.notify()
        self._thread.join()

    def __enter__(self) -> SessionBatcher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        while batch := self._next_batch():
            self._step(batch)

    def _step(self, batch: list[_Chunk]) -> None:
        try:
            logits = self._executor.step_sessions(
                [chunk.session for chunk in batch], [chunk.windows for chunk in batch]
            )
        except BaseException as error:  # whoever waits for a chunk learns of it
            if len(batch) == 1:
                batch[0].logits.set_exception(error)
                return
            for chunk in batch:  # a refused step changed no session: only the culprit fails
                self._step([chunk])
        else:
            for chunk, result in zip(batch, logits, strict=True):
                chunk.logits.set_result(result)

    def _next_batch(self) -> list[_Chunk]:
        """Wait for chunks; at most one a session, the oldest first; none when it is all over."""
        batch: list[_Chunk] = []
        with self._change:
            while not batch:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
                batch = self._take_waiting()
        return batch

    def _take_waiting(self) -> list[_Chunk]:
        batch: list[_Chunk] = []
        later: deque[_Chunk] = deque()
        taken: set[int] = set()
        for chunk in self._waiting:
            if len(batch) == self._largest_batch or id(chunk.session) in taken:
                later.append(chunk)
            elif chunk.logits.set_running_or_notify_cancel():
                taken.add(id(chunk.session))
                batch.append(chunk)
        self._waiting = later
        return batch


class BatchedSession:
    """One utterance of a :class:`SessionBatcher`; like a session of the executor alone."""

    def __init__(self, batcher: SessionBatcher, session: CpuSession) -> None:
        """``session`` is stepped by ``batcher`` from now on, and by nobody else."""
        self._batcher = batcher
        self._session = session

    def push(self, windows: Windows) -> Logits:
        """Logits int64[t, V] of the next windows uint8[t, W], when their step is done.

        Raises SessionFinishedError, InputWindowsError or EngineMemoryError.
        """
        return self._batcher.submit(self._session, windows).result()

    def finish(self) -> None:
        """End the utterance; raises SessionFinishedError the second time."""
        self._session.finish()
