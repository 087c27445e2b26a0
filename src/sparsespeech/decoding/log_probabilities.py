"""What every decoder takes: log-probabilities of the acoustic model.

Axes: T frames, V classes (the last is the CTC blank).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.decoding.alphabet import Alphabet


def checked_log_probabilities(
    log_probabilities: NDArray[np.floating[Any]], alphabet: Alphabet
) -> NDArray[np.float64]:
    """A copy of ``log_probabilities`` [T, V] in nats as float64[T, V], C order; T may be 0.

    -inf is a probability of zero. Raises ValueError unless the array holds real numbers, V is
    the number of classes of ``alphabet``, and no entry is NaN or +inf.
    """
    if log_probabilities.ndim != 2 or log_probabilities.shape[1] != alphabet.classes:
        raise ValueError(
            f"log-probabilities have shape {log_probabilities.shape}, "
            f"expected [frames, {alphabet.classes}] for this alphabet"
        )
    if log_probabilities.dtype.kind not in "fiu":
        raise ValueError(
            f"log-probabilities have dtype {log_probabilities.dtype}, expected float32"
        )
    scores = log_probabilities.astype(np.float64, order="C")
    if not scores.max(initial=-np.inf) < np.inf:  # a NaN is the maximum of any array
        frame, number = np.argwhere(~(scores < np.inf))[0]
        raise ValueError(
            f"the log-probability of frame {frame}, class {number} is {scores[frame, number]}, "
            "expected a number below infinity; check the samples and the model that gave it"
        )
    return scores
