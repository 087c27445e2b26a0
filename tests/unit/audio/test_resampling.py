"""The stated quality of sample rate conversion, measured on tones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.audio.resampling import resample

RATE = 16_000


def tone(hz: float, rate: int, seconds: float = 1.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def level_db(samples: NDArray[np.float32]) -> float:
    """Root mean square of the middle, in decibels of a full-scale tone."""
    middle = samples[RATE // 4 : -RATE // 4].astype(np.float64)
    return float(10 * np.log10(2 * np.mean(middle**2)))


@pytest.mark.parametrize(
    ("rate", "hz"), [(44_100, 9_500.0), (44_100, 15_000.0), (48_000, 9_000.0), (48_000, 20_000.0)]
)
def test_tones_above_the_nyquist_frequency_leave_no_alias(rate: int, hz: float) -> None:
    assert level_db(resample(tone(hz, rate), rate, RATE)) < -80


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_pass_band_is_flat(rate: int) -> None:
    edge = 0.9 * min(rate, RATE) / 2
    for hz in (100.0, 1000.0, edge):
        assert abs(level_db(resample(tone(hz, rate), rate, RATE))) < 0.1


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_no_delay_and_no_mirror(rate: int) -> None:
    converted = resample(tone(440.0, rate), rate, RATE)
    wanted = tone(440.0, RATE)
    assert converted.dtype == np.float32
    middle = slice(2000, -2000)
    assert np.abs(converted[middle] - wanted[middle]).max() < 1e-3


def test_equal_rates_do_nothing() -> None:
    samples = tone(440.0, RATE)
    assert resample(samples, RATE, RATE) is samples


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100])
def test_short_inputs(count: int) -> None:
    assert resample(np.zeros(count, dtype=np.float32), 8000, RATE).shape == (2 * count,)
    shorter = resample(np.zeros(count, dtype=np.float32), 48_000, RATE).size
    assert abs(shorter - count / 3) <= 1
