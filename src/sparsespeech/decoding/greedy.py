"""Greedy CTC decoding: the best class of each frame, repeats merged, blanks dropped.

Axes: T frames, V classes. [Graves 2006, sec. 3.2, "best path decoding"]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.transcript import (
    CharacterSpan,
    Transcript,
    transcript_from_spans,
)


def greedy_decode(
    log_probabilities: NDArray[np.float32], alphabet: Alphabet, frame_duration_s: float = 0.02
) -> Transcript:
    """Transcript of ``log_probabilities``, float32[T, V] in nats; T may be 0.

    ``score`` is the log-probability of the best path. Frames that are all blank or all space
    give an empty text. Raises ValueError if V differs from the classes of the alphabet.
    """
    check_classes(log_probabilities, alphabet)
    if len(log_probabilities) == 0:
        return Transcript("", (), 0.0)
    best = log_probabilities.argmax(axis=1)
    peak = log_probabilities.max(axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))  # first frame of each run of one class
    ends = np.append(starts[1:], len(best))
    run_peaks = np.maximum.reduceat(peak, starts)
    spans = [
        CharacterSpan(alphabet.symbols[best[start]], int(start), int(end), float(run_peak))
        for start, end, run_peak in zip(starts, ends, run_peaks, strict=True)
        if best[start] != alphabet.blank
    ]
    return transcript_from_spans(spans, frame_duration_s, float(peak.sum(dtype=np.float64)))


def check_classes(log_probabilities: NDArray[np.float32], alphabet: Alphabet) -> None:
    """Raise ValueError unless ``log_probabilities`` is [T, classes of the alphabet]."""
    if log_probabilities.ndim != 2 or log_probabilities.shape[1] != alphabet.classes:
        raise ValueError(
            f"log-probabilities have shape {log_probabilities.shape}, "
            f"expected [frames, {alphabet.classes}] for this alphabet"
        )
