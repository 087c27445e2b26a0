"""Train n-gram language models: interpolated modified Kneser-Ney smoothing.

[Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling",
sec. 3.6 and eq. 26-28], with the conventions of KenLM's lmplz [Heafield et al. 2013, "Scalable
modified Kneser-Ney language model estimation", sec. 3]:

- every sentence is ``<s> word ... word </s>``; ``<s>`` is a context but never predicted;
- lower orders count distinct predecessors, except n-grams that begin with ``<s>``, which have
  none and keep their plain count;
- single words are interpolated with the uniform distribution over the vocabulary, ``</s>`` and
  ``<unk>`` included;
- pruning drops n-grams by plain count after the discounts were estimated, and hands their mass
  to the back-off weight of the context.

One deviation: with ``vocabulary_size`` the rarer words are counted as ``<unk>``, an ordinary word
from then on, so that its probability says how often unknown words really occur (SRILM's -unk).

Axes: S tokens of the corpus, M distinct n-grams of one order, n words, K vocabulary words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.arpa import (
    HIGHEST_ORDER,
    LOG10_ZERO,
    NgramTable,
    NgramTables,
    write_arpa,
)
from sparsespeech.decoding.ngram_counting import (
    START,
    CountedOrder,
    count_ngrams,
    encode_sentences,
)

Discounts = tuple[float, float, float]

# Used for an order whose counts of counts give no discounts (tiny corpora), as in KenLM.
FALLBACK_DISCOUNTS: Discounts = (0.5, 1.0, 1.5)


@dataclass(frozen=True, eq=False)
class NgramModel:
    """A trained model. ``discounts[n - 1]`` are D1, D2, D3+ of order n."""

    tables: NgramTables
    discounts: tuple[Discounts, ...]
    fallback_orders: tuple[int, ...]  # orders that used FALLBACK_DISCOUNTS

    @property
    def order(self) -> int:
        """Number of words of the longest n-grams."""
        return len(self.tables.orders)

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of n-grams of each order."""
        return tuple(len(table.words) for table in self.tables.orders)

    def write_arpa(self, path: Path) -> None:
        """Write the model in ARPA form, atomically, compressed if ``path`` ends in ``.gz``."""
        write_arpa(self.tables, path)


def train_ngram(
    sentences: Iterable[list[str]],
    order: int,
    *,
    vocabulary_size: int | None = None,
    prune: Sequence[int] = (),
) -> NgramModel:
    """Interpolated modified Kneser-Ney model of ``sentences``.

    ``vocabulary_size`` keeps the most frequent words. ``prune[n - 1]`` drops n-grams seen that
    many times or fewer; it must not decrease, must begin with 0, and its last entry holds for all
    higher orders. Raises ValueError for bad parameters and LanguageModelError if there are no
    words or if ``<s>`` or ``</s>`` occurs in a sentence.
    """
    if not 1 <= order <= HIGHEST_ORDER:
        raise ValueError(f"order must be 1 to {HIGHEST_ORDER}, got {order}")
    thresholds = _prune_thresholds(prune, order)
    vocabulary, tokens = encode_sentences(sentences, vocabulary_size)
    counted = count_ngrams(tokens, len(vocabulary), order)

    lower = np.array([1.0 / (len(vocabulary) - 1)])  # uniform; <s> is never predicted
    probabilities, backoffs, survivors = [], [], []
    discounts: list[Discounts] = []
    fallback_orders: list[int] = []
    for number, current in enumerate(counted, start=1):
        adjusted = _adjusted_counts(current, counted[number] if number < order else None)
        discount = estimate_discounts(adjusted)
        if discount is None:
            discount = FALLBACK_DISCOUNTS
            fallback_orders.append(number)
        kept = current.count > thresholds[number - 1] if number > 1 else current.count >= 0
        lower, backoff = _interpolate(current, adjusted, kept, discount, lower)
        discounts.append(discount)
        probabilities.append(lower)
        backoffs.append(backoff)
        survivors.append(kept)
    probabilities[0][START] = 0.0
    backoffs.append(np.ones(len(counted[-1].count)))  # the longest n-grams are no contexts
    tables = tuple(
        NgramTable(current.words[kept], _log10(probability[kept]), _log10(backoff[kept]))
        for current, kept, probability, backoff in zip(
            counted, survivors, probabilities, backoffs[1:], strict=True
        )
    )
    return NgramModel(
        NgramTables(tuple(vocabulary), tables), tuple(discounts), tuple(fallback_orders)
    )


def estimate_discounts(adjusted: NDArray[np.int64]) -> Discounts | None:
    """D1, D2, D3+ of one order from its counts of counts (eq. 17 and 26), None if degenerate."""
    seen = np.bincount(np.minimum(adjusted, 5), minlength=6)[:5]
    if not seen[1:].all():
        return None
    share = seen[1] / (seen[1] + 2 * seen[2])
    one, two, three = (
        float(count - (count + 1) * share * seen[count + 1] / seen[count]) for count in (1, 2, 3)
    )
    if not (0 < one <= 1 and 0 < two <= 2 and 0 < three <= 3):
        return None
    return one, two, three


def _prune_thresholds(prune: Sequence[int], order: int) -> list[int]:
    thresholds = list(prune)[:order] or [0]
    thresholds += thresholds[-1:] * (order - len(thresholds))
    if thresholds[0] != 0 or thresholds != sorted(thresholds):
        raise ValueError(
            f"prune must begin with 0 and not decrease, got {tuple(prune)}; limit "
            "single words with vocabulary_size"
        )
    return thresholds


def _adjusted_counts(current: CountedOrder, longer: CountedOrder | None) -> NDArray[np.int64]:
    """Plain counts in the highest order, numbers of distinct predecessors below it."""
    if longer is None:
        adjusted = current.count.copy()
    else:
        predecessors = np.bincount(longer.suffix, minlength=len(current.count))
        at_start = current.words[:, 0] == START
        adjusted = np.where(at_start, current.count, predecessors)
    if current.words.shape[1] == 1:
        adjusted[START] = 0
    return adjusted


def _interpolate(
    current: CountedOrder,
    adjusted: NDArray[np.int64],
    kept: NDArray[np.bool_],
    discount: Discounts,
    lower: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probabilities of one order, float64[M], and the back-off weights of its contexts.

    ``lower`` are the probabilities of the next lower order, which the suffixes index.
    """
    contexts = len(lower)
    amount = np.array([0.0, *discount])[np.minimum(adjusted, 3)]
    total = np.bincount(current.context, weights=adjusted, minlength=contexts)
    handed_down = np.bincount(
        current.context, weights=np.where(kept, amount, adjusted), minlength=contexts
    )
    backoff = np.divide(handed_down, total, out=np.ones(contexts), where=total > 0)
    own = np.where(kept, adjusted - amount, 0.0) / np.maximum(total[current.context], 1.0)
    return own + backoff[current.context] * lower[current.suffix], backoff


def _log10(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    positive = probability > 10.0**LOG10_ZERO
    logarithm = np.full(len(probability), LOG10_ZERO)
    return np.log10(probability, out=logarithm, where=positive)
