"""The host's log-softmax of rule R9: integer logits and their scale to log-probabilities.

Axes: T frames, V classes (symbols and the CTC blank).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_softmax(
    logits: NDArray[np.integer[Any]], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Log-probabilities float32[T, V] in nats.

    ``logits`` are the accumulators of the output layer, int64[T, V]; ``scale`` turns them into
    nats, float32[1] or one entry a class, float32[V]. Computed in float64, rounded once.
    """
    nats = logits.astype(np.float64) * scale.astype(np.float64)
    nats -= nats.max(axis=1, keepdims=True, initial=-np.inf)
    nats -= np.log(np.exp(nats).sum(axis=1, keepdims=True))
    return nats.astype(np.float32)
