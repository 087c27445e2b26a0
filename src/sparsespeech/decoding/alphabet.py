"""The symbols that a model writes. The CTC blank is the class after the last symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ENGLISH_SYMBOLS = " abcdefghijklmnopqrstuvwxyz'"


@dataclass(frozen=True)
class Alphabet:
    """Symbols in class order; ``blank`` is class ``len(symbols)`` (28 of 29 for English)."""

    symbols: tuple[str, ...] = tuple(ENGLISH_SYMBOLS)

    @property
    def blank(self) -> int:
        """Class of the CTC blank."""
        return len(self.symbols)

    @property
    def classes(self) -> int:
        """Number of classes with the blank."""
        return len(self.symbols) + 1

    def encode(self, text: str) -> NDArray[np.int64]:
        """Classes of ``text``; raises KeyError naming a character outside the alphabet."""
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        return np.array([index[character] for character in text], dtype=np.int64)

    def decode(self, classes: NDArray[np.int64] | list[int]) -> str:
        """Text of a sequence of classes without blanks."""
        return "".join(self.symbols[int(number)] for number in classes)

    def unknown_characters(self, text: str) -> set[str]:
        """Characters of ``text`` that this alphabet cannot write."""
        return set(text) - set(self.symbols)


def normalise_transcript(text: str) -> str:
    """Lower-case, unify apostrophes, collapse white space; other characters stay as they are."""
    return " ".join(text.lower().replace("’", "'").split())
