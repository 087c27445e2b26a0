"""Prefixes of a beam search as a tree, each with the language score of its words.

The fused score of a prefix is ``alpha * ln P_lm + beta`` for each finished word plus an estimate
for the word under way: the same formula with the best unigram among the words that begin so.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.lexicon import Lexicon
from sparsespeech.decoding.ngram_tree import State


class Prefix:
    """One character appended to a parent prefix; the root stands for the empty text."""

    __slots__ = ("parent", "symbol", "children", "position", "word", "state", "finished", "fused")

    def __init__(self, parent: Prefix | None, symbol: int, word: str, state: State,
                 finished: float, fused: float) -> None:
        self.parent = parent
        self.symbol = symbol  # class of the last character
        self.children: dict[int, Prefix] = {}  # only those in the beam, and their ancestors
        self.position = -1  # place in the beam, -1 outside
        self.word = word  # characters since the last space
        self.state = state  # of the language model after the finished words
        self.finished = finished  # fused score of the finished words, nats
        self.fused = fused  # ... and the estimate for the word under way


    def release(self) -> None:
        """Take a prefix that left the beam out of the tree, with ancestors that nobody needs."""
        prefix = self
        while prefix.parent is not None and not prefix.children and prefix.position < 0:
            del prefix.parent.children[prefix.symbol]
            prefix = prefix.parent
