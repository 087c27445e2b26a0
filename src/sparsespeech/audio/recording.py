"""A recording in memory: mono float32 at the rate of the acoustic model.

Axes: N frames (moments in time), C channels. Full scale is +-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.resampling import resample
from sparsespeech.audio.samples import clip_samples, mix_to_mono, to_float32
from sparsespeech.errors import AudioError, AudioTooLongError

SAMPLE_RATE_HZ = 16_000
LOWEST_SAMPLE_RATE_HZ = 4_000
HIGHEST_SAMPLE_RATE_HZ = 768_000


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording as an acoustic model wants it."""

    samples: NDArray[np.float32]  # float32[N] at sample_rate_hz, mono
    sample_rate_hz: int
    source_sample_rate_hz: int
    channels: int  # of the source
    truncated: bool  # True only if allow_truncated let an incomplete file pass
    duration_s: float  # of the source
    clipped_samples: int = 0  # source samples that lay beyond +-1


def recording_from_array(
    samples: NDArray[Any],
    source_sample_rate_hz: int,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    *,
    max_duration_s: float | None = None,
) -> Recording:
    """Take ``samples`` as a recording, by the same rules as files.

    ``samples`` is [N] or [N, C], either floating with full scale +-1 or int16 with full scale
    32768; it is not changed. No samples at all are a recording of zero seconds. Raises
    AudioError for another shape or type, NaN, infinity or an impossible rate, AudioTooLongError.
    """
    given = np.asarray(samples)
    frames = to_float32(given, source="samples")
    if frames.ndim == 1:
        frames = frames[:, np.newaxis]
    if frames.ndim != 2 or frames.shape[1] == 0:
        raise AudioError(
            f"samples have shape {given.shape}, expected [frames] or [frames, channels]"
        )
    check_sample_rate("samples", source_sample_rate_hz)
    duration_s = len(frames) / source_sample_rate_hz
    check_duration("samples", duration_s, max_duration_s)
    clipped = clip_samples(
        frames, source="samples", first_frame=0, sample_rate_hz=source_sample_rate_hz
    )
    return Recording(
        samples=resample(mix_to_mono(frames), source_sample_rate_hz, sample_rate_hz),
        sample_rate_hz=sample_rate_hz,
        source_sample_rate_hz=source_sample_rate_hz,
        channels=frames.shape[1],
        truncated=False,
        duration_s=duration_s,
        clipped_samples=clipped,
    )


def check_duration(source: str, duration_s: float, max_duration_s: float | None) -> None:
    """Raise AudioTooLongError if ``source`` lasts longer than the limit (None: no limit)."""
    if max_duration_s is not None and duration_s > max_duration_s:
        raise AudioTooLongError(
            f"{source}: lasts {duration_s:.1f} s, the limit is {max_duration_s:g} s (a model that "
            "reads in both directions holds the whole recording in memory); split the recording, "
            "or raise the limit with --max-duration (max_duration_s in Python)"
        )


def check_sample_rate(source: str, sample_rate_hz: int) -> None:
    """Raise AudioError for a rate that no recording of speech has."""
    if not LOWEST_SAMPLE_RATE_HZ <= sample_rate_hz <= HIGHEST_SAMPLE_RATE_HZ:
        raise AudioError(
            f"{source}: the sample rate is {sample_rate_hz} Hz, expected "
            f"{LOWEST_SAMPLE_RATE_HZ} to {HIGHEST_SAMPLE_RATE_HZ} Hz; convert the recording"
        )
