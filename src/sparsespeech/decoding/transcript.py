"""What a decoder returns: text, words with times and confidence, and a score.

A word's times come from the frames of its characters: it starts with the first frame of its
first character and ends with the last frame of its last one. Its confidence is the product of
the characters' peak posteriors, the CTC network's probability that every letter of the word is
right if letters are judged one by one. A language model does not enter it, so a word that the
language model forced against the sound has a low confidence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word; ``start`` and ``end`` in seconds, ``confidence`` in [0, 1]."""

    word: str
    start: float
    end: float
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """A decoded utterance.

    ``text`` is the words joined by single spaces. ``score`` is in nats and depends on the decoder:
    the best path's log-probability (greedy), or acoustic plus weighted language score (beam).
    """

    text: str
    words: tuple[Word, ...]
    score: float


@dataclass(frozen=True)
class CharacterSpan:
    """One character of an alignment: frames ``first`` (included) to ``end`` (excluded)."""

    character: str
    first: int
    end: int
    log_peak: float  # largest log-posterior of the character inside the span, nats


def transcript_from_spans(
    spans: Iterable[CharacterSpan], frame_duration_s: float, score: float
) -> Transcript:
    """Group characters into words at spaces; leading and repeated spaces vanish."""
    words: list[Word] = []
    current: list[CharacterSpan] = []
    for span in spans:
        if span.character != " ":
            current.append(span)
        elif current:
            words.append(_word(current, frame_duration_s))
            current = []
    if current:
        words.append(_word(current, frame_duration_s))
    return Transcript(" ".join(word.word for word in words), tuple(words), score)


def timed_word(
    text: str, first: int, end: int, log_confidence: float, frame_duration_s: float
) -> Word:
    """A word of the frames ``first`` (included) to ``end`` (excluded)."""
    # The logarithm of a float32 softmax may exceed 0 by a rounding error.
    confidence = math.exp(min(0.0, log_confidence))
    return Word(text, first * frame_duration_s, end * frame_duration_s, confidence)


def _word(spans: list[CharacterSpan], frame_duration_s: float) -> Word:
    log_confidence = 0.0
    for span in spans:  # not sum(): from Python 3.12 on it compensates rounding errors
        log_confidence += span.log_peak
    text = "".join(span.character for span in spans)
    return timed_word(text, spans[0].first, spans[-1].end, log_confidence, frame_duration_s)
