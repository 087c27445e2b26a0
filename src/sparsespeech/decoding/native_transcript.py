"""Alphabets for the native module and transcripts from it.

Symbols go as code points, so that any string of Python gets through.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.transcript import Transcript, timed_word

# A score, and text, first frame, end frame and logarithm of the confidence of each word.
NativeTranscript = tuple[float, list[tuple[str, int, int, float]]]


@lru_cache(maxsize=16)
def native_alphabet(native: ModuleType, alphabet: Alphabet) -> Any:
    """The native ``Alphabet``."""
    return native.Alphabet([list(map(ord, symbol)) for symbol in alphabet.symbols])


def transcript_from_native(found: NativeTranscript, frame_duration_s: float) -> Transcript:
    """The transcript with times in seconds."""
    score, words = found
    return Transcript(
        " ".join([word[0] for word in words]),
        tuple([timed_word(*word, frame_duration_s) for word in words]),
        score,
    )
