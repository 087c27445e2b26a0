"""Back-off n-gram language models: reading ARPA files, scoring, fitting to an alphabet.

All scores are natural logarithms; an ARPA file holds base-10 ones.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.arpa import (
    LOG10_ZERO,
    SENTENCE_END,
    SENTENCE_START,
    UNKNOWN,
    NgramTable,
    NgramTables,
    read_arpa,
)
from sparsespeech.decoding.ngram_tree import NgramTree, State
from sparsespeech.errors import AlphabetMismatchError, LanguageModelError

SPECIAL_WORDS = frozenset({SENTENCE_START, SENTENCE_END, UNKNOWN})
_LARGEST_UNWRITABLE_SHARE = 0.5


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a text; sentence ends are predicted too.

    ``perplexity`` scores unknown words as ``<unk>``; ``known_perplexity`` leaves them out.
    """

    perplexity: float
    known_perplexity: float
    words: int
    unknown_words: int
    sentences: int


class LanguageModel:
    """An n-gram model of words. Immutable; states are hashable tuples.

    A model without a usable ``<unk>`` gives unknown words the probability of its rarest word.
    """

    def __init__(self, tables: NgramTables) -> None:
        """Raises LanguageModelError if there are no words besides the special ones."""
        tables = _with_unknown(tables)
        self._index = {word: index for index, word in enumerate(tables.vocabulary)}
        self._unknown = self._index[UNKNOWN]
        self._tree = NgramTree(tables)
        self.order = len(tables.orders)
        self.counts = tuple(len(table.words) for table in tables.orders)
        start = self._index.get(SENTENCE_START)
        empty = self._tree.empty_state
        self.initial_state: State = empty if start is None else self._tree.score(empty, start)[1]

    @classmethod
    def read(cls, path: Path, *, lower_case: bool = False) -> LanguageModel:
        """Read an ARPA file, plain or gzip, of any tool.

        ``lower_case`` folds the words; of n-grams that become equal the most probable counts.
        Raises LanguageModelError naming file and line.
        """
        tables = read_arpa(path)
        return cls(_lower_case(tables) if lower_case else tables)

    @classmethod
    def read_for(cls, path: Path, alphabet: Alphabet) -> LanguageModel:
        """Read an ARPA file for an acoustic model; upper-case words are folded if that helps.

        Raises LanguageModelError as :meth:`read`, and AlphabetMismatchError if ``alphabet``
        cannot write more than half of the words.
        """
        tables = read_arpa(path)
        if _unwritable_share(tables.vocabulary, alphabet) > _LARGEST_UNWRITABLE_SHARE:
            folded = _lower_case(tables)
            if _unwritable_share(folded.vocabulary, alphabet) <= _LARGEST_UNWRITABLE_SHARE:
                tables = folded
        model = cls(tables)
        try:
            model.writable_words(alphabet)
        except AlphabetMismatchError as error:
            raise AlphabetMismatchError(f"{path}: {error}") from None
        return model

    @property
    def tree(self) -> NgramTree:
        """The n-grams."""
        return self._tree

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Number in the tree of each word, the special ones too."""
        return MappingProxyType(self._index)

    def __contains__(self, word: str) -> bool:
        return word in self._index and word not in SPECIAL_WORDS

    def score(self, state: State, word: str) -> tuple[float, State]:
        """Log-probability of ``word`` (``<unk>`` if unknown) after ``state``; the next state."""
        return self._tree.score(state, self._index.get(word, self._unknown))

    def score_end(self, state: State) -> float:
        """Log-probability of the sentence end; 0 if the model has none."""
        end = self._index.get(SENTENCE_END)
        return 0.0 if end is None else self._tree.score(state, end)[0]

    def unigram(self, word: str) -> float:
        """Log-probability of ``word`` without context."""
        return self._tree.unigram(self._index.get(word, self._unknown))

    def words(self) -> list[str]:
        """All words but the special ones, in the order of the file."""
        return [word for word in self._index if word not in SPECIAL_WORDS]

    def writable_words(self, alphabet: Alphabet) -> list[str]:
        """The words that ``alphabet`` can write.

        Raises AlphabetMismatchError naming the offending characters if it cannot write more
        than half of them.
        """
        words = self.words()
        symbols = set(alphabet.symbols) - {" "}
        writable = [word for word in words if symbols.issuperset(word)]
        if len(words) - len(writable) > _LARGEST_UNWRITABLE_SHARE * len(words):
            raise AlphabetMismatchError(_mismatch(words, len(writable), alphabet))
        return writable

    def log_probability(self, sentence: Sequence[str]) -> float:
        """Log-probability of a whole sentence, ``</s>`` included."""
        total, state = 0.0, self.initial_state
        for word in sentence:
            score, state = self.score(state, word)
            total += score
        return total + self.score_end(state)

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> Perplexity:
        """Perplexity of a text. Raises ValueError if it holds no sentence."""
        total = known = 0.0
        words = unknown_words = count = 0
        for sentence in sentences:
            state = self.initial_state
            for word in sentence:
                score, state = self.score(state, word)
                total += score
                words += 1
                if word in self:
                    known += score
                else:
                    unknown_words += 1
            end = self.score_end(state)
            total, known, count = total + end, known + end, count + 1
        if not count:
            raise ValueError("perplexity needs at least one sentence")
        return Perplexity(
            math.exp(-total / (words + count)),
            math.exp(-known / (words - unknown_words + count)),
            words,
            unknown_words,
            count,
        )


def _with_unknown(tables: NgramTables) -> NgramTables:
    """The tables with a usable ``<unk>``; ``<UNK>`` is the same word."""
    vocabulary = list(tables.vocabulary)
    if UNKNOWN not in vocabulary and "<UNK>" in vocabulary:
        vocabulary[vocabulary.index("<UNK>")] = UNKNOWN
    unigrams = tables.orders[0]
    ordinary = np.array([word not in SPECIAL_WORDS for word in vocabulary])
    ordinary_rows = ordinary[unigrams.words[:, 0]] & (unigrams.log10_probability > LOG10_ZERO)
    if not ordinary_rows.any():
        raise LanguageModelError("the language model holds no words with a probability")
    rarest = float(unigrams.log10_probability[ordinary_rows].min())
    if UNKNOWN in vocabulary:
        row = unigrams.words[:, 0] == vocabulary.index(UNKNOWN)
        probability = np.where(
            row & (unigrams.log10_probability <= LOG10_ZERO), rarest, unigrams.log10_probability
        )
        unigrams = NgramTable(unigrams.words, probability, unigrams.log10_backoff)
    else:
        new = np.array([[len(vocabulary)]], np.int32)
        vocabulary.append(UNKNOWN)
        unigrams = NgramTable(
            np.concatenate([unigrams.words, new]),
            np.append(unigrams.log10_probability, rarest),
            np.append(unigrams.log10_backoff, 0.0),
        )
    return NgramTables(tuple(vocabulary), (unigrams, *tables.orders[1:]))


def _lower_case(tables: NgramTables) -> NgramTables:
    """Fold the words; equal ones get one index, and the tree merges their n-grams."""
    folded: dict[str, int] = {}
    index = np.array(
        [
            folded.setdefault(word if word.startswith("<") else word.lower(), len(folded))
            for word in tables.vocabulary
        ],
        np.int32,
    )
    orders = tuple(
        NgramTable(index[table.words], table.log10_probability, table.log10_backoff)
        for table in tables.orders
    )
    return NgramTables(tuple(folded), orders)


def _unwritable_share(vocabulary: Sequence[str], alphabet: Alphabet) -> float:
    words = [word for word in vocabulary if not word.startswith("<")]
    symbols = set(alphabet.symbols)
    return sum(not symbols.issuperset(word) for word in words) / max(1, len(words))


def _mismatch(words: Sequence[str], writable: int, alphabet: Alphabet) -> str:
    offending = Counter(
        character for word in words for character in set(word) if character not in alphabet.symbols
    )
    shown = " ".join(character for character, _ in offending.most_common(10))
    return (
        f"the acoustic model writes {''.join(alphabet.symbols)!r} and cannot spell "
        f"{len(words) - writable} of the language model's {len(words)} words; characters it "
        f"lacks: {shown}. Train the language model on text in the acoustic model's alphabet "
        "(sparsespeech data text-lm)"
    )
