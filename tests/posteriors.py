"""Posteriors written as text, for tests of decoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet


def posteriors(
    frames: str, peak: float | Sequence[float] = 0.9, alphabet: Alphabet | None = None
) -> NDArray[np.float32]:
    """Log-probabilities float32[T, V]; one character a frame, ``-`` is the blank.

    The written class has probability ``peak`` (one value, or one a frame), the others share the
    rest evenly.
    """
    alphabet = alphabet or Alphabet()
    peaks = np.broadcast_to(np.array(peak, np.float64), len(frames))
    probabilities = np.repeat((1 - peaks)[:, None] / (alphabet.classes - 1), alphabet.classes, 1)
    for number, character in enumerate(frames):
        best = alphabet.blank if character == "-" else alphabet.symbols.index(character)
        probabilities[number, best] = peaks[number]
    return np.log(probabilities).astype(np.float32)


def random_posteriors(
    rng: np.random.Generator, frames: int, classes: int, spread: float = 2.0
) -> NDArray[np.float32]:
    """Softmax of normal noise of deviation ``spread``, as logarithms, float32[T, V]."""
    logits = rng.normal(0, spread, size=(frames, classes))
    logits -= np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return logits.astype(np.float32)
