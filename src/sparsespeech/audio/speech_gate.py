"""The silence gate of :mod:`sparsespeech.audio.silence` for sound that comes in chunks.

Axes: n samples of a chunk, K slices of 20 ms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.silence import SLICE_S, levels_hold_no_speech, slice_levels_dbfs

MEMORY_S = 60.0


class SpeechGate:
    """Tells whether a recording under way has held speech so far.

    For the first 60 s the answer is that for a whole recording of these samples. If that is yes
    after 60 s it stays so; if not, the last 30 to 60 s decide from then on. The answer does not
    depend on how the sound was cut. At most 60 s of levels (24 kB) are kept.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        """Start a recording."""
        self._sample_rate_hz = sample_rate_hz
        self._slice = max(1, round(SLICE_S * sample_rate_hz))
        self._memory = round(MEMORY_S / SLICE_S)
        self._rest = np.zeros(0, dtype=np.float32)  # samples of an incomplete slice
        self._levels = np.zeros(0)  # float64[K] in dBFS
        self._settled = False

    def accept(self, samples: NDArray[np.floating[Any]]) -> None:
        """Take the next samples [n], full scale +-1; n may be 0."""
        if self._settled:
            return
        known = np.concatenate((self._rest, samples))
        whole = known.size // self._slice * self._slice
        self._rest = known[whole:].astype(np.float32)
        if whole:
            levels = slice_levels_dbfs(known[:whole], self._sample_rate_hz)
            self._levels = np.concatenate((self._levels, levels))
        while self._levels.size >= self._memory and not self._settled:
            if levels_hold_no_speech(self._levels[: self._memory]):
                self._levels = self._levels[self._memory // 2 :]
            else:
                self._settled = True
                self._levels, self._rest = np.zeros(0), np.zeros(0, dtype=np.float32)

    def holds_speech(self) -> bool:
        """True unless a rule of the gate finds that the samples so far hold no speech."""
        if self._settled:
            return True
        levels = self._levels
        if self._rest.size:
            levels = np.append(levels, slice_levels_dbfs(self._rest, self._sample_rate_hz))
        return levels.size > 0 and not levels_hold_no_speech(levels)
