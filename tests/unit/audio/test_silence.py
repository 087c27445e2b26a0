from __future__ import annotations

import statistics
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from sparsespeech.audio.silence import holds_no_speech, slice_levels_dbfs

RATE = 16_000
SPEECH = sorted(Path(str(files("sparsespeech").joinpath("demo_audio"))).glob("*.flac"))


def noise(level: float, seconds: float = 2.0) -> NDArray[np.float64]:
    return np.random.default_rng(5).normal(0.0, level, round(seconds * RATE))


def hum(hz: float, level: float = 0.1, seconds: float = 2.0) -> NDArray[np.float64]:
    time = np.arange(round(seconds * RATE)) / RATE
    return level * np.sin(2 * np.pi * hz * time) + level / 3 * np.sin(6 * np.pi * hz * time)


def test_levels_of_known_signals() -> None:
    square = np.tile([1.0, -1.0], RATE)
    assert slice_levels_dbfs(square, RATE) == pytest.approx([0.0] * 100)
    sine = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    assert slice_levels_dbfs(sine, RATE) == pytest.approx([-3.0103] * 50, abs=1e-3)
    constant = np.full(700, 0.7, dtype=np.float32)  # an offset is no sound; 2 slices and a part
    assert slice_levels_dbfs(constant, RATE).shape == (3,)
    assert slice_levels_dbfs(constant, RATE).max() < -190


@pytest.mark.parametrize("samples", [1, 319, 320, 16_000, 16_001, 40_100])
def test_levels_are_standard_deviations_of_slices(samples: int) -> None:
    recording = noise(0.1, 3.0)[:samples].astype(np.float32)
    slices = np.split(recording, range(320, samples, 320))
    expected = [20 * np.log10(max(statistics.pstdev(part.tolist()), 1e-10)) for part in slices]
    np.testing.assert_allclose(slice_levels_dbfs(recording, RATE), expected, atol=1e-9)


@pytest.mark.parametrize("count", [25, 26, 31, 50, 101])
def test_steady_means_within_3_db_of_the_tenth_percentile(count: int) -> None:
    levels = np.random.default_rng(count).uniform(-20, -18, count)
    levels[count // 2] = 0.0  # the loudest; how loud does not move the percentile
    tone = np.sin(2 * np.pi * np.arange(320) / 32) * np.sqrt(2)
    for margin_db in (-0.001, 0.001):
        levels[count // 2] = np.percentile(levels, 10) + 3.0 + margin_db
        samples = (10 ** (levels[:, np.newaxis] / 20) * tone).ravel()
        assert holds_no_speech(samples, RATE) == (margin_db < 0)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0),
        np.zeros(1),
        np.zeros(60 * RATE),
        np.full(RATE, 0.25),
        noise(0.0005),
        noise(0.05),
        hum(50.0),
        hum(60.0),
        hum(440.0, 0.5),
    ],
    ids=["empty", "one", "zeros", "offset", "quiet", "noise", "50hz", "60hz", "tone"],
)
def test_no_speech(samples: NDArray[np.float64]) -> None:
    assert holds_no_speech(samples.astype(np.float32), RATE)


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.stem)
@pytest.mark.parametrize("gain", [1.0, 0.02])
def test_speech(path: Path, gain: float) -> None:
    samples, rate = soundfile.read(path, dtype="float32")
    assert not holds_no_speech(gain * samples, rate)
    middle = samples.size // 2
    word = samples[middle - RATE // 5 : middle + RATE // 5]  # 0.4 s, too short for rule 2
    assert not holds_no_speech(gain * word, rate)
    noisy = gain * (samples + np.random.default_rng(1).normal(0, 0.01, samples.size))
    assert not holds_no_speech(noisy.astype(np.float32), rate)
    assert holds_no_speech(1e-4 * samples, rate)


def test_one_loud_slice_in_silence_passes() -> None:
    samples = np.zeros(RATE, dtype=np.float32)
    samples[8000:8320] = noise(0.01)[:320]
    assert not holds_no_speech(samples, RATE)
