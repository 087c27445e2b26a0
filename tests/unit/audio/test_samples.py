from __future__ import annotations

import math

import numpy as np
import pytest

from sparsespeech.audio.samples import clip_samples, mix_to_mono, to_float32
from sparsespeech.errors import AudioError


def test_position_counts_from_the_start_of_the_recording() -> None:
    samples = np.array([[0.0, 0.0], [0.0, np.inf]], dtype=np.float32)
    with pytest.raises(AudioError, match=r"x: sample 4001 of channel 1 \(0\.500 s\) is inf"):
        clip_samples(samples, source="x", first_frame=4000, sample_rate_hz=8002)


def test_each_channel_counts_its_clipped_samples() -> None:
    samples = np.array([[1.5, -1.0], [-2.0, 1.1]], dtype=np.float32)
    assert clip_samples(samples, source="x", first_frame=0, sample_rate_hz=16_000) == 3
    assert samples.tolist() == [[1.0, -1.0], [-1.0, 1.0]]


def test_mean_of_channels_is_rounded_once() -> None:
    samples = np.array([[1.0, 2.0**-24, 2.0**-24]], dtype=np.float32)
    assert mix_to_mono(samples)[0] == np.float32((1.0 + 2.0**-23) / 3)


def test_mean_of_ten_channels() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (200, 10)).astype(np.float32)
    expected = [math.fsum(row) / 10 for row in samples.tolist()]
    np.testing.assert_array_equal(mix_to_mono(samples), np.array(expected, dtype=np.float32))


def test_full_scale_is_not_clipped() -> None:
    samples = np.array([1.0, -1.0], dtype=np.float32)
    assert clip_samples(samples, source="x", first_frame=0, sample_rate_hz=16_000) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
def test_float32_samples_are_a_copy(dtype: type[np.generic]) -> None:
    given = np.ones(3, dtype=dtype)
    samples = to_float32(given, source="x")
    assert samples.dtype == np.float32
    samples[0] = 9.0
    assert given.tolist() == [1, 1, 1]


def test_mono_is_a_copy() -> None:
    samples = np.zeros((3, 1), dtype=np.float32)
    mix_to_mono(samples)[0] = 1.0
    assert samples[0, 0] == 0.0
