"""Greedy CTC decoding of frames that come in pieces; see ``greedy`` for whole utterances.

Axes: t frames of a piece, V classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.log_probabilities import checked_log_probabilities
from sparsespeech.decoding.transcript import (
    CharacterSpan,
    Transcript,
    Word,
    transcript_from_spans,
)


class GreedyStream:
    """One utterance under way; joined frames give the transcript of ``greedy_decode``.

    The best class of a frame is never revised, so all words but the last one are settled. What is
    kept grows with the words only.
    """

    def __init__(self, alphabet: Alphabet, frame_duration_s: float = 0.02) -> None:
        """Start an utterance."""
        self._alphabet = alphabet
        self._frame_duration_s = frame_duration_s
        self._words: list[Word] = []  # settled: a space came after them
        self._text = ""  # of the settled words
        self._spans: list[CharacterSpan] = []  # characters of the last word that have ended
        self._frames = 0
        self._score = 0.0
        # The run of one class that the next frame may continue.
        self._class = alphabet.blank
        self._first = 0
        self._peak = 0.0

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, float32[t, V] in nats; t may be 0.

        Raises ValueError for another V, NaN or +inf; the stream is then as it was before.
        """
        scores = checked_log_probabilities(log_probabilities, self._alphabet)
        if len(scores) == 0:
            return
        for best, peak in zip(scores.argmax(axis=1).tolist(), scores.max(axis=1), strict=True):
            self._score += float(peak)
            if best == self._class:
                self._peak = max(self._peak, float(peak))
            else:
                self._end_run()
                self._class, self._first, self._peak = best, self._frames, float(peak)
            self._frames += 1

    def partial(self) -> Transcript:
        """The transcript so far; its last word may still grow."""
        last = transcript_from_spans(self._open_spans(), self._frame_duration_s, 0.0)
        return Transcript(_joined(self._text, last.text), (*self._words, *last.words), self._score)

    def finish(self) -> Transcript:
        """The transcript if no frame follows."""
        return self.partial()

    def _open_spans(self) -> list[CharacterSpan]:
        """Characters after the last settled word, that of the unfinished run among them."""
        if self._class == self._alphabet.blank:
            return self._spans
        symbol = self._alphabet.symbols[self._class]
        return [*self._spans, CharacterSpan(symbol, self._first, self._frames, self._peak)]

    def _end_run(self) -> None:
        """Keep the character of the run that ends here; a space settles the word before it."""
        self._spans = self._open_spans()
        if self._spans and self._spans[-1].character == " ":
            settled = transcript_from_spans(self._spans, self._frame_duration_s, 0.0)
            self._words += settled.words
            self._text = _joined(self._text, settled.text)
            self._spans = []


def _joined(text: str, more: str) -> str:
    return f"{text} {more}" if text and more else text or more
