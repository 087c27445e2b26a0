"""Rules for raw samples, the same for files and for arrays handed to the Python interface.

Axes: N frames (moments in time), C channels.

- NaN and infinity are errors that name the first bad frame; they are never passed on.
- Samples beyond +-1 are clipped to +-1 and counted.
- Several channels become one by the mean over the channels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import AudioError


def clip_samples(
    samples: NDArray[np.float32], *, source: str, first_frame: int, sample_rate_hz: int
) -> int:
    """Clip ``samples`` (float32[N] or float32[N, C], full scale +-1) in place; count the clipped.

    ``first_frame`` is the position of ``samples[0]`` in the recording, for the message.
    Raises AudioError naming ``source``, frame and time of the first NaN or infinity.
    """
    if samples.size == 0:
        return 0
    finite = np.isfinite(samples)
    if not finite.all():
        position = np.argwhere(~finite)[0]
        frame = first_frame + int(position[0])
        several = samples.ndim == 2 and samples.shape[1] > 1
        channel = f" of channel {int(position[1])}" if several else ""
        raise AudioError(
            f"{source}: sample {frame}{channel} ({frame / sample_rate_hz:.3f} s) is "
            f"{float(samples[tuple(position)])}; expected finite numbers within +-1. "
            "Write the recording again from its source"
        )
    clipped = int(np.count_nonzero(np.abs(samples) > 1.0))
    if clipped:
        np.clip(samples, -1.0, 1.0, out=samples)
    return clipped


def mix_to_mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the channels: float32[N, C] -> float32[N] (taken in float64, rounded once)."""
    if samples.shape[1] == 1:
        return samples[:, 0].copy()
    mono: NDArray[np.float32] = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    return mono
