"""What a language model adds to the score of a word in the beam search.

A finished word adds ``alpha * ln P(word | words before it) + beta`` [Hannun 2014, "Deep Speech",
eq. 12]. A word that the model does not know is scored as ``<unk>`` less ``unknown_penalty`` for
each of its letters: a text outside the vocabulary stays possible, but no long nonsense word can
swallow the costs of several known ones.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Protocol

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.arpa import UNKNOWN
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.lexicon import Lexicon
from sparsespeech.decoding.ngram_tree import State

_LARGEST_WEIGHT = 1e6  # sums of scores must stay finite


class WordScorer(Protocol):
    """Scores in nats, to be added to acoustic log-probabilities."""

    @property
    def initial_state(self) -> State:
        """State before the first word."""
        ...

    def word(self, state: State, word: str) -> tuple[float, State]:
        """Score of a finished word, and the state after it."""
        ...

    def estimate(self, beginning: str) -> float:
        """Score that a word is expected to get of which only the ``beginning`` is known."""
        ...

    def end(self, state: State) -> float:
        """Score of the end of the utterance."""
        ...


class NoLanguageModel:
    """The acoustic model alone decides."""

    initial_state: State = ()

    def word(self, state: State, word: str) -> tuple[float, State]:
        """Nothing."""
        return 0.0, state

    def estimate(self, beginning: str) -> float:
        """Nothing."""
        return 0.0

    def end(self, state: State) -> float:
        """Nothing."""
        return 0.0


class NgramScorer:
    """Shallow fusion with an n-gram model at word ends, with a unigram look-ahead.

    ``writable`` are the words of the model that the alphabet can write, the only ones that the
    look-ahead counts; ``ignored_words`` is the number of the others.
    """

    def __init__(
        self,
        model: LanguageModel,
        alphabet: Alphabet,
        alpha: float,
        beta: float,
        unknown_penalty: float,
    ) -> None:
        """Raises AlphabetMismatchError if most words of the model cannot be written.

        Raises ValueError unless ``alpha``, ``beta`` and ``unknown_penalty`` are within +-1e6.
        """
        weights = {"alpha": alpha, "beta": beta, "unknown_penalty": unknown_penalty}
        for name, weight in weights.items():
            if not abs(weight) <= _LARGEST_WEIGHT:  # NaN too
                raise ValueError(f"{name} must be within +-{_LARGEST_WEIGHT:g}, got {weight}")
        self.model = model
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.unknown_penalty = float(unknown_penalty)
        self.writable = model.writable_words(alphabet)
        self.ignored_words = len(model.words()) - len(self.writable)
        self.initial_state = model.initial_state
        self._unknown = self.alpha * model.unigram(UNKNOWN)

    @cached_property
    def _lexicon(self) -> Lexicon:
        """Made at the first use: the native search has its own."""
        return Lexicon({word: self.model.unigram(word) for word in self.writable})

    def word(self, state: State, word: str) -> tuple[float, State]:
        """``alpha * ln P + beta``, less the penalty for an unknown word."""
        log_probability, after = self.model.score(state, word)
        score = self.alpha * log_probability + self.beta
        if word not in self.model:
            score -= self.unknown_penalty * len(word)
        return score, after

    def estimate(self, beginning: str) -> float:
        """The formula of a finished word with the best unigram that begins so."""
        unknown = self._unknown - self.unknown_penalty * len(beginning) + self.beta
        best = self._lexicon.best(beginning)
        # Not -inf * alpha: that is no number for an alpha of 0.
        return unknown if best == -math.inf else max(self.alpha * best + self.beta, unknown)

    def end(self, state: State) -> float:
        """``alpha * ln P(</s>)``."""
        return self.alpha * self.model.score_end(state)
