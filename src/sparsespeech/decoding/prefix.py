"""Prefixes of a beam search as a tree of characters."""

from __future__ import annotations

from sparsespeech.decoding.ngram_tree import State
from sparsespeech.decoding.word_scoring import WordScorer


class Prefix:
    """A text: one character appended to a parent prefix. The root is the empty text.

    Scores are nats of the word scorer. A parent knows only those children that are in the beam
    or lead to one, so that the memory of a stream does not hold what the search gave up.
    """

    __slots__ = ("children", "finished", "fused", "parent", "position", "state", "symbol", "word")

    def __init__(
        self,
        parent: Prefix | None,
        symbol: int,
        word: str,
        state: State,
        finished: float,
        fused: float,
    ) -> None:
        self.parent = parent
        self.symbol = symbol  # class of the last character
        self.word = word  # characters since the last space
        self.state = state  # of the language model, after the finished words
        self.finished = finished  # score of the finished words
        self.fused = fused  # ... plus the estimate for the word under way
        self.children: dict[int, Prefix] = {}
        self.position = -1  # place in the beam, -1 outside

    def extended(self, symbol: int, character: str, scorer: WordScorer) -> Prefix:
        """The prefix with one more character, not yet entered among the children."""
        if character == " ":
            score, state = scorer.word(self.state, self.word)
            finished = self.finished + score
            return Prefix(self, symbol, "", state, finished, finished)
        word = self.word + character
        fused = self.finished + scorer.estimate(word)
        return Prefix(self, symbol, word, self.state, self.finished, fused)

    def final_score(self, scorer: WordScorer) -> float:
        """Score of the prefix as a whole utterance: last word and sentence end included."""
        score, state = scorer.word(self.state, self.word) if self.word else (0.0, self.state)
        return self.finished + score + scorer.end(state)

    def release(self) -> None:
        """Take a prefix that left the beam out of the tree, with ancestors that nobody needs."""
        prefix = self
        while prefix.parent is not None and not prefix.children and prefix.position < 0:
            # A descendant that left in the same frame may have released this one already.
            prefix.parent.children.pop(prefix.symbol, None)
            prefix = prefix.parent
