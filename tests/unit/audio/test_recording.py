from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from sparsespeech.audio.recording import recording_from_array
from sparsespeech.errors import AudioError, AudioTooLongError

RATE = 16_000


def test_floating_samples_pass_unchanged() -> None:
    samples = np.array([0.0, 0.5, -1.0, 1.0])
    recording = recording_from_array(samples, RATE)
    assert recording.samples.tolist() == [0.0, 0.5, -1.0, 1.0]
    assert recording.samples.dtype == np.float32
    assert recording.duration_s == 4 / RATE


def test_int16_samples_have_full_scale_32768() -> None:
    recording = recording_from_array(np.array([-32768, 16384, 1], dtype=np.int16), RATE)
    assert recording.samples.tolist() == [-1.0, 0.5, 2.0**-15]


def test_channels_become_their_mean() -> None:
    recording = recording_from_array(np.array([[0.5, -0.1, 0.2], [0.3, 0.3, 0.3]]), RATE)
    assert recording.channels == 3
    assert recording.samples == pytest.approx([0.2, 0.3], abs=1e-7)


def test_callers_array_is_not_changed() -> None:
    samples = np.array([2.0, 0.1], dtype=np.float32)
    recording = recording_from_array(samples, RATE)
    assert samples.tolist() == [2.0, np.float32(0.1)]
    assert recording.clipped_samples == 1
    assert recording.samples.tolist() == [1.0, np.float32(0.1)]


def test_rate_is_converted() -> None:
    assert recording_from_array(np.zeros(800), 8000).samples.shape == (1600,)


def test_no_samples() -> None:
    recording = recording_from_array(np.zeros(0), 8000)
    assert (recording.samples.shape, recording.duration_s) == ((0,), 0.0)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(3, dtype=np.int32), "dtype int32, expected floating or int16"),
        (np.zeros(3, dtype=complex), "dtype complex128"),
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\), expected \[frames\]"),
        (np.zeros((2, 0)), r"shape \(2, 0\)"),
        (np.array(0.5), r"shape \(\)"),
        (np.array([0.0, np.nan]), r"sample 1 \(0\.000 s\) is nan"),
        (np.array([1e300]), "sample 0 .* is inf"),
    ],
)
def test_unusable_arrays(samples: NDArray[np.generic], message: str) -> None:
    with pytest.raises(AudioError, match=message):
        recording_from_array(samples, RATE)


def test_impossible_rate() -> None:
    with pytest.raises(AudioError, match="sample rate is 100 Hz, expected 4000 to 768000 Hz"):
        recording_from_array(np.zeros(3), 100)


def test_too_long_array() -> None:
    with pytest.raises(AudioTooLongError, match=r"samples: lasts 2\.0 s, the limit is 1 s"):
        recording_from_array(np.zeros(2 * RATE), RATE, max_duration_s=1.0)


@given(hnp.arrays(np.uint32, st.integers(0, 20)))
def test_any_float32_bit_pattern_is_finite_or_refused(bits: NDArray[np.uint32]) -> None:
    samples = bits.view(np.float32)
    if all(math.isfinite(value) for value in samples.tolist()):
        recording = recording_from_array(samples, RATE)
        assert np.abs(recording.samples).max(initial=0.0) <= 1.0
        beyond = [value for value in samples.tolist() if abs(value) > 1.0]
        assert recording.clipped_samples == len(beyond)
        return
    first = next(i for i, value in enumerate(samples.tolist()) if not math.isfinite(value))
    with pytest.raises(AudioError, match=rf"sample {first} "):
        recording_from_array(samples, RATE)
