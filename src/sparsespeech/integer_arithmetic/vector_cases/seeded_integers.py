"""Random integers that never change: SplitMix64, so vectors regenerate to the same bytes.

numpy promises no stable streams for its generators across versions; these twenty lines do.
Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014).
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_INCREMENT = np.uint64(0x9E3779B97F4A7C15)


class SeededIntegers:
    """A stream of integers that depends on ``name`` alone."""

    def __init__(self, name: str) -> None:
        """Start the stream called ``name``."""
        digest = hashlib.sha256(name.encode("utf-8")).digest()
        self._state = np.frombuffer(digest[:8], dtype="<u8").astype(np.uint64)  # [1]: may wrap

    def bits(self, count: int) -> NDArray[np.uint64]:
        """The next ``count`` words of 64 random bits."""
        steps = np.arange(1, count + 1, dtype=np.uint64) * _INCREMENT
        z: NDArray[np.uint64] = self._state + steps  # arithmetic modulo 2^64
        self._state = z[-1:] if count else self._state
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        return z

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """int64 of ``shape``, each in ``low..high`` inclusive; ``high - low < 2^32``."""
        words = self.bits(int(np.prod(shape))) >> np.uint64(31)
        offsets = (words % np.uint64(high - low + 1)).astype(np.int64)
        return (offsets + low).reshape(shape)
