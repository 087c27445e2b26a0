"""The words that a decoder may write, as a sorted list used like a prefix tree.

All words that begin with a prefix are neighbours in the list, so a node of the tree is a range
of it. The best unigram score of a range is the look-ahead of the search: a word's language score
is charged, as far as it is known, with its first letters and not all at once at its end.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_AFTER_ANY_CHARACTER = "\U0010ffff"
_CACHED_PREFIXES = 1 << 16


class Lexicon:
    """Sorted words with their unigram scores (nats)."""

    def __init__(self, unigrams: dict[str, float]) -> None:
        self._words = sorted(unigrams)
        scores = np.array([unigrams[word] for word in self._words], np.float32)
        self._maxima = _range_maxima(scores)
        self.best = lru_cache(_CACHED_PREFIXES)(self._best)

    def __len__(self) -> int:
        return len(self._words)

    def _best(self, prefix: str) -> float:
        """Largest unigram score of the words that begin with ``prefix``; -inf if there is none."""
        low = bisect_left(self._words, prefix)
        high = bisect_left(self._words, prefix + _AFTER_ANY_CHARACTER, low)
        if low == high:
            return -np.inf
        level = (high - low).bit_length() - 1
        maxima = self._maxima[level]
        return float(max(maxima[low], maxima[high - (1 << level)]))


def _range_maxima(scores: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """``maxima[k][i]`` is the largest of the 2^k scores from i on."""
    maxima = [scores]
    width = 1
    while 2 * width <= len(scores):
        shorter = maxima[-1]
        maxima.append(np.maximum(shorter[:-width], shorter[width:]))
        width *= 2
    return maxima
