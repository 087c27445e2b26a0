"""Greedy CTC decoding: the best class of each frame, repeats merged, blanks dropped.

Axes: T frames, V classes. [Graves 2006, sec. 3.2, "best path decoding"]
"""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.implementation import native_decoding
from sparsespeech.decoding.log_probabilities import checked_log_probabilities
from sparsespeech.decoding.native_transcript import native_alphabet, transcript_from_native
from sparsespeech.decoding.transcript import (
    CharacterSpan,
    Transcript,
    transcript_from_spans,
)


def greedy_decode(
    log_probabilities: NDArray[np.float32], alphabet: Alphabet, frame_duration_s: float = 0.02
) -> Transcript:
    """Transcript of ``log_probabilities``, float32[T, V] in nats; T may be 0.

    ``score`` is the log-probability of the best path; of equal classes the first counts. Frames
    that are all blank or all space give an empty text. Raises ValueError if V differs from the
    classes of the alphabet, and for NaN or +inf.
    """
    scores = checked_log_probabilities(log_probabilities, alphabet)
    native = native_decoding()
    if native is None:
        return numpy_greedy_decode(scores, alphabet, frame_duration_s)
    found = native.greedy_decode(native_alphabet(native, alphabet), scores)
    return transcript_from_native(found, frame_duration_s)


def numpy_greedy_decode(
    scores: NDArray[np.float64], alphabet: Alphabet, frame_duration_s: float
) -> Transcript:
    """The reference of :func:`greedy_decode`, for checked ``scores`` float64[T, V]."""
    if len(scores) == 0:
        return Transcript("", (), 0.0)
    best = scores.argmax(axis=1)
    peak = scores.max(axis=1)
    starts = np.flatnonzero(np.diff(best, prepend=-1))  # first frame of each run of one class
    ends = np.append(starts[1:], len(best))
    run_peaks = np.maximum.reduceat(peak, starts)
    spans = [
        CharacterSpan(alphabet.symbols[best[start]], int(start), int(end), float(run_peak))
        for start, end, run_peak in zip(starts, ends, run_peaks, strict=True)
        if best[start] != alphabet.blank
    ]
    # Frame by frame: the order of numpy's sum depends on the length.
    return transcript_from_spans(spans, frame_duration_s, reduce(add, peak.tolist(), 0.0))
