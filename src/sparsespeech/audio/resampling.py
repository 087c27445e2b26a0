"""Sample rate conversion with soxr (band-limited, linear phase, quality "HQ")."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray


def resample(
    samples: NDArray[np.float32], source_sample_rate_hz: int, sample_rate_hz: int
) -> NDArray[np.float32]:
    """Convert float32[N] to float32[round(N * sample_rate_hz / source_sample_rate_hz)].

    Quality HQ: pass band flat to 0.91 of the lower Nyquist frequency, stop band below -100 dB.
    Equal rates return ``samples`` itself.
    """
    if source_sample_rate_hz == sample_rate_hz or samples.size == 0:
        return samples
    converted = soxr.resample(samples, source_sample_rate_hz, sample_rate_hz, quality="HQ")
    return np.asarray(converted, dtype=np.float32)
