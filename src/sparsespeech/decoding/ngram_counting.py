"""Count the n-grams of a corpus with sorting instead of dictionaries.

Axes: S tokens of the corpus, M distinct n-grams of one order, n words, K vocabulary words.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.arpa import SENTENCE_END, SENTENCE_START, UNKNOWN
from sparsespeech.errors import LanguageModelError

# Vocabulary indices of the special words.
OUT_OF_VOCABULARY = 0
START = 1
END = 2


@dataclass(frozen=True, eq=False)
class CountedOrder:
    """The distinct n-grams of one order, sorted by context.

    In order 1 there is one context and one suffix, the empty one, with index 0.
    """

    words: NDArray[np.int32]  # int32[M, n], vocabulary indices
    context: NDArray[np.int64]  # int64[M], index of words[:, :-1] in the next lower order
    suffix: NDArray[np.int64]  # int64[M], index of words[:, 1:] in the next lower order
    count: NDArray[np.int64]  # int64[M], occurrences


class _Vocabulary(dict[str, int]):
    """Gives each new word the next index."""

    def __missing__(self, word: str) -> int:
        self[word] = index = len(self)
        return index


def encode_sentences(
    sentences: Iterable[list[str]], vocabulary_size: int | None = None
) -> tuple[list[str], NDArray[np.int32]]:
    """Vocabulary (``<unk>``, ``<s>``, ``</s>``, words by falling frequency) and tokens int32[S].

    Each sentence is framed by ``<s>`` and ``</s>``; empty ones are left out. With
    ``vocabulary_size`` only that many of the most frequent words stay, the rest is ``<unk>``.
    Raises LanguageModelError for an empty corpus or a sentence marker among the words.
    """
    seen = _Vocabulary({UNKNOWN: OUT_OF_VOCABULARY, SENTENCE_START: START, SENTENCE_END: END})
    tokens = array("i")
    number = 0
    for sentence in sentences:
        if sentence:
            tokens.append(START)
            tokens.extend(map(seen.__getitem__, sentence))
            tokens.append(END)
            number += 1
    encoded = np.frombuffer(tokens, np.int32) if tokens else np.zeros(0, np.int32)
    frequency = np.bincount(encoded, minlength=len(seen))
    if not number:
        raise LanguageModelError("the text holds no words to train a language model on")
    if frequency[START] != number or frequency[END] != number:
        raise LanguageModelError(
            f"the text holds {SENTENCE_START} or {SENTENCE_END} as a word; "
            "remove them: sentence ends are added automatically"
        )
    ranked = END + 1 + np.argsort(-frequency[END + 1 :], kind="stable")
    if vocabulary_size is not None:
        ranked = ranked[:vocabulary_size]
    index = np.full(len(seen), OUT_OF_VOCABULARY, np.int32)
    index[[START, END]] = START, END
    index[ranked] = np.arange(END + 1, END + 1 + len(ranked))
    words = list(seen)
    return words[: END + 1] + [words[word] for word in ranked], index[encoded]


def count_ngrams(tokens: NDArray[np.int32], vocabulary_size: int, order: int) -> list[CountedOrder]:
    """All n-grams up to ``order`` that lie inside one sentence; ``tokens`` int32[S].

    The single words are all words of the vocabulary, with count 0 for those that do not occur.
    """
    nothing = np.zeros(vocabulary_size, np.int64)
    counted = [
        CountedOrder(
            np.arange(vocabulary_size, dtype=np.int32)[:, None],
            nothing,
            nothing,
            np.bincount(tokens, minlength=vocabulary_size).astype(np.int64),
        )
    ]
    position = np.arange(len(tokens))  # where an n-gram begins
    row = tokens.astype(np.int64)  # row[i]: which (n-1)-gram begins at token i, -1 if none
    for length in range(2, order + 1):
        last = position + length - 1
        inside = last < len(tokens)
        inside[inside] = tokens[last[inside]] != START
        position, last = position[inside], last[inside]
        # (context, last word) as one integer keeps an n-gram of any length in 64 bits.
        keys = row[position] * vocabulary_size + tokens[last]
        distinct, first, inverse, count = np.unique(
            keys, return_index=True, return_inverse=True, return_counts=True
        )
        context, word = np.divmod(distinct, vocabulary_size)
        words = np.column_stack([counted[-1].words[context], word.astype(np.int32)])
        counted.append(
            CountedOrder(words, context, row[position[first] + 1], count.astype(np.int64))
        )
        row = np.full(len(tokens), -1, np.int64)
        row[position] = inverse
    return counted
