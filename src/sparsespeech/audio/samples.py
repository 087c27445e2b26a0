"""Rules for raw samples, the same for files and for arrays handed to the Python interface.

Axes: N frames (moments in time), C channels.

- Samples are floating with full scale +-1, or int16 with full scale 32768.
- NaN and infinity are errors that name the first bad frame; they are never passed on.
- Samples beyond +-1 are clipped to +-1 and counted.
- Several channels become one by the mean over the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import AudioError


def to_float32(samples: NDArray[Any], *, source: str) -> NDArray[np.float32]:
    """A float32 copy, full scale +-1, of floating or int16 samples of any shape.

    Raises AudioError naming ``source`` for another type.
    """
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768)
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"{source} have dtype {samples.dtype}, expected floating or int16")
    with np.errstate(over="ignore"):  # too large for float32: infinite, refused by clip_samples
        return samples.astype(np.float32)


def clip_samples(
    samples: NDArray[np.float32], *, source: str, first_frame: int, sample_rate_hz: int
) -> int:
    """Clip ``samples`` (float32[N] or float32[N, C], full scale +-1) in place; count the clipped.

    ``first_frame`` is the position of ``samples[0]`` in the recording, for the message.
    Raises AudioError naming ``source``, frame and time of the first NaN or infinity.
    """
    if samples.size == 0 or (samples.min() >= -1.0 and samples.max() <= 1.0):  # False for NaN
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
    np.clip(samples, -1.0, 1.0, out=samples)
    return clipped


def check_chunk(
    samples: NDArray[Any], *, first_frame: int, sample_rate_hz: int
) -> tuple[NDArray[np.float32], int]:
    """The next samples [N] of a stream as float32[N] within +-1, a copy, and how many were clipped.

    ``first_frame`` counts the samples before them. Raises AudioError for another type or shape, NaN
    or infinity.
    """
    source = "samples of the stream"
    given = np.asarray(samples)
    chunk = to_float32(given, source=source)
    if chunk.ndim != 1:
        raise AudioError(
            f"{source} have shape {given.shape}, expected [samples] of one channel; mix the "
            "channels to one first"
        )
    clipped = clip_samples(
        chunk, source=source, first_frame=first_frame, sample_rate_hz=sample_rate_hz
    )
    return chunk, clipped


def mix_to_mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean over the channels: float32[N, C] -> float32[N] (taken in float64, rounded once)."""
    if samples.shape[1] == 1:
        return samples[:, 0].copy()
    total = samples[:, 0].astype(np.float64)
    for channel in samples.T[1:]:  # ten times faster than a mean over rows of two
        total += channel
    total /= samples.shape[1]
    return total.astype(np.float32)
