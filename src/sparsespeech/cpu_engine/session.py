"""One utterance that comes in chunks.

Axes: t frames of a chunk, W inputs of one window (494), V labels with the blank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import SessionFinishedError

if TYPE_CHECKING:
    from sparsespeech.cpu_engine.engine import CpuExecutor


class CpuSession:
    """The cells and fed-back outputs of one utterance; made by :meth:`CpuExecutor.stream`.

    Joined, the logits of the chunks are those of the whole utterance, wherever it was cut. The
    state has the same size after an hour as at the start.
    """

    def __init__(self, executor: CpuExecutor, state: Any) -> None:
        """``state`` is that of a fresh utterance (R12)."""
        self._executor = executor
        self._state = state
        self._frames = 0
        self._finished = False

    @property
    def frames(self) -> int:
        """Frames computed so far."""
        return self._frames

    @property
    def finished(self) -> bool:
        """Whether :meth:`finish` was called."""
        return self._finished

    @property
    def state_bytes(self) -> int:
        """Memory that this session keeps between chunks."""
        return int(self._state.bytes)

    def push(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Logits int64[t, V] of the next windows uint8[t, W]; t may be 0.

        Raises SessionFinishedError, InputWindowsError or EngineMemoryError; a chunk that is
        refused changes nothing.
        """
        return self._executor.step_sessions([self], [windows])[0]

    def finish(self) -> None:
        """End the utterance; raises SessionFinishedError the second time."""
        self.check_unfinished()
        self._finished = True

    def check_unfinished(self) -> None:
        """Raise SessionFinishedError after :meth:`finish`."""
        if self._finished:
            raise SessionFinishedError(
                f"the session was finished after {self._frames} frames and takes no more; start a "
                "new one for the next utterance"
            )

    def state_for(self, executor: CpuExecutor) -> Any:
        """The state, for a step by ``executor``.

        Raises SessionFinishedError, or ValueError if the session belongs to another executor.
        """
        self.check_unfinished()
        if executor is not self._executor:
            raise ValueError("the session belongs to another executor; step it with its own")
        return self._state

    def count_frames(self, frames: int) -> None:
        """Take note of ``frames`` that the executor has computed."""
        self._frames += frames
