"""The n-grams of a back-off model as a tree of flat arrays.

Level k holds the n-grams of k + 1 words. The entries of a level are sorted by the entry of
their context (the first k words, level k - 1) and then by their last word, so the children of
a context are contiguous and a lookup is one bisection of a short range.

Axes: M n-grams of one order, K vocabulary words. Scores are natural logarithms.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.arpa import NgramTables

# Entry of the last 1, 2, ... order - 1 words in level 0, 1, ...; -1 where the model has none.
State = tuple[int, ...]


class Level(NamedTuple):
    """The n-grams of one length.

    The children of entry e are the entries of the next level from ``child_start[e]`` to
    ``child_start[e + 1]``; the last level has no children.
    """

    word: array[int]  # int32[M], last word of each entry
    probability: array[float]  # float64[M]
    backoff: array[float]  # float64[M]
    child_start: array[int]  # int64[M + 1], or int64[0]


class NgramTree:
    """Lookup and back-off scoring of n-grams; words are indices into the vocabulary."""

    def __init__(self, tables: NgramTables) -> None:
        """Of an n-gram that is listed twice the more probable row counts."""
        self._order = len(tables.orders)
        self._word: list[array[int]] = []  # last word of each entry
        self._probability: list[array[float]] = []
        self._backoff: list[array[float]] = []
        self._child_start: list[array[int]] = []  # children: child_start[e] to child_start[e+1]
        self._build(tables)

    @property
    def empty_state(self) -> State:
        """The state that knows no previous word."""
        return (-1,) * (self._order - 1)

    @property
    def levels(self) -> list[Level]:
        """The arrays themselves, shortest n-grams first; not to be changed."""
        child_start = [*self._child_start, array("q")]
        rows = zip(self._word, self._probability, self._backoff, child_start, strict=True)
        return [Level(*row) for row in rows]

    def score(self, state: State, word: int) -> tuple[float, State]:
        """Log-probability of ``word`` after ``state`` by back-off, and the state after the word."""
        after = [-1] * (self._order - 1)
        if after:
            after[0] = word
        backoff = 0.0
        found: float | None = None
        for level in range(self._order - 1, 0, -1):
            context = state[level - 1]
            if context < 0:
                continue
            child = self._child(level, context, word)
            if child >= 0:
                if level < self._order - 1:
                    after[level] = child
                if found is None:
                    found = self._probability[level][child]
            elif found is None:
                backoff += self._backoff[level - 1][context]
        if found is None:
            found = self._probability[0][word]
        return backoff + found, tuple(after)

    def unigram(self, word: int) -> float:
        """Log-probability of ``word`` without context."""
        return self._probability[0][word]

    def _child(self, level: int, context: int, word: int) -> int:
        """Entry of ``context`` (an entry of the level below) followed by ``word``, or -1."""
        words = self._word[level]
        starts = self._child_start[level - 1]
        end = starts[context + 1]
        entry = bisect_left(words, word, starts[context], end)
        return entry if entry < end and words[entry] == word else -1

    def _build(self, tables: NgramTables) -> None:
        """Level by level; ``context[n]`` is where the n-grams of n + 1 words have got to."""
        size = len(tables.vocabulary)
        context = [np.zeros(len(table.words), np.int64) for table in tables.orders]
        parents: list[NDArray[np.int64]] = []
        for level, table in enumerate(tables.orders):
            keys = {
                number: context[number] * size + tables.orders[number].words[:, level]
                for number in range(level, self._order)
            }
            # Longer n-grams count too: pruned models of SRILM may lack one of their contexts.
            entries = _distinct(np.concatenate(list(keys.values()))) if level else np.arange(size)
            for number in range(level, self._order):
                context[number] = np.searchsorted(entries, keys[number])
            parent, word = np.divmod(entries, size)
            if level:
                starts = np.searchsorted(parent, np.arange(len(self._word[-1]) + 1))
                self._child_start.append(_integers("q", starts.astype(np.int64)))
            ascending = np.argsort(table.log10_probability, kind="stable")  # the last one stays
            own = context[level][ascending]
            probability = np.full(len(entries), np.nan)
            probability[own] = table.log10_probability[ascending]
            backoff = np.zeros(len(entries))
            backoff[own] = table.log10_backoff[ascending]
            parents.append(parent)
            self._word.append(_integers("i", word.astype(np.int32)))
            self._probability.append(_floats(probability * math.log(10)))
            self._backoff.append(_floats(backoff * math.log(10)))
            for entry in np.flatnonzero(np.isnan(probability)):
                self._imply(level, int(entry), parents)

    def _imply(self, level: int, entry: int, parents: list[NDArray[np.int64]]) -> None:
        """Give a missing context the probability that backing off gives it."""
        words = []
        ancestor = entry
        for step in range(level, -1, -1):
            words.append(self._word[step][ancestor])
            ancestor = int(parents[step][ancestor])
        context = int(parents[level][entry])
        history = words[1:-1][::-1]  # without the first word of the context
        state = self.empty_state
        for word in history:
            state = self.score(state, word)[1]
        shorter = self.score(state, words[0])[0]
        self._probability[level][entry] = self._backoff[level - 1][context] + shorter


def _distinct(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted distinct keys; numpy's own ``unique`` hashes first, which is four times slower."""
    keys = np.sort(keys)
    first = np.diff(keys, prepend=-1) != 0
    return np.compress(first, keys)


# Single items of a standard-library array are read three times faster than those of numpy.
def _integers(kind: str, values: NDArray[np.signedinteger[Any]]) -> array[int]:
    result: array[int] = array(kind)
    result.frombytes(values.tobytes())
    return result


def _floats(values: NDArray[np.float64]) -> array[float]:
    result = array("d")
    result.frombytes(values.tobytes())
    return result
