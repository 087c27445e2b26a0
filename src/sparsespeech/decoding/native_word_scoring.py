"""A language model for the native beam search.

Axes: M n-grams of one order, K vocabulary words, C characters of all words together.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.arpa import SENTENCE_END, UNKNOWN
from sparsespeech.decoding.language_model import SPECIAL_WORDS
from sparsespeech.decoding.word_scoring import NgramScorer


def native_scorer(native: ModuleType, scorer: NgramScorer) -> Any:
    """The native ``WordScorer``: it reads the n-grams where they are and copies the words."""
    model = scorer.model
    levels = [tuple(map(np.asarray, level)) for level in model.tree.levels]  # no copies
    return native.WordScorer(
        native.NgramModel(levels),
        _lexicon(native, scorer, levels[0][1]),
        initial_state=list(scorer.initial_state),
        unknown=model.vocabulary[UNKNOWN],
        sentence_end=model.vocabulary.get(SENTENCE_END, -1),
        alpha=scorer.alpha,
        beta=scorer.beta,
        unknown_penalty=scorer.unknown_penalty,
    )


def _lexicon(native: ModuleType, scorer: NgramScorer, unigrams: NDArray[np.float64]) -> Any:
    """All words of the model, the special ones too: an alphabet may be able to write them.

    ``unigrams``: float64[M] of the shortest n-grams. Text goes as code points: a character of a
    word counts as one, and any string of Python gets through.
    """
    vocabulary = scorer.model.vocabulary
    words = list(vocabulary)
    numbers = np.fromiter(vocabulary.values(), np.int32, len(words))
    writable = set(scorer.writable)
    code_points = "".join(words).encode("utf-32-le", "surrogatepass")
    return native.Lexicon(
        np.frombuffer(code_points, "<u4").astype(np.uint32),  # [C]
        np.fromiter(map(len, words), np.int64, len(words)),  # [K]
        numbers,  # [K]
        np.fromiter((word not in SPECIAL_WORDS for word in words), np.bool_, len(words)),  # [K]
        np.fromiter((word in writable for word in words), np.bool_, len(words)),  # [K]
        unigrams[numbers].astype(np.float32),  # [K]
    )
