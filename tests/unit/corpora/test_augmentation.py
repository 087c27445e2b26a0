from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsespeech.corpora import augmentation

RATE_HZ = 16000


def speechlike(seed: int = 0, length: int = RATE_HZ) -> np.ndarray:
    """A second of a decaying buzz, float32."""
    rng = np.random.default_rng(seed)
    times = np.arange(length) / RATE_HZ
    buzz = np.sign(np.sin(2 * np.pi * 120 * times)) * np.exp(-2 * times)
    return (0.3 * buzz + 0.001 * rng.standard_normal(length)).astype(np.float32)


def power(samples: np.ndarray) -> float:
    return float(np.mean(samples.astype(np.float64) ** 2))


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


@settings(max_examples=20)
@given(st.floats(-40, 20))
def test_gain_changes_the_level_by_its_decibels(gain_db: float) -> None:
    samples = speechlike()
    changed = augmentation.change_gain(samples, gain_db)
    assert changed.dtype == np.float32
    assert decibels(power(changed) / power(samples)) == pytest.approx(gain_db, abs=1e-3)


@settings(max_examples=20)
@given(st.floats(5, 30), st.sampled_from(augmentation.NOISE_KINDS), st.integers(0, 9))
def test_noise_has_the_power_asked_for(level_db: float, kind: str, seed: int) -> None:
    samples = speechlike()
    noise = augmentation.make_noise(kind, len(samples), np.random.default_rng(seed))
    assert power(noise) == pytest.approx(1)
    noisy = augmentation.add_noise(samples, noise, level_db)
    added = noisy.astype(np.float64) - samples
    assert decibels(power(samples) / power(added)) == pytest.approx(level_db, abs=0.01)


def band_level_db(noise: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Mean power density of a band."""
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)
    return decibels(float(spectrum[(frequencies >= low_hz) & (frequencies < high_hz)].mean()))


def test_each_noise_has_its_spectrum() -> None:
    noises = {
        kind: augmentation.make_noise(kind, 8 * RATE_HZ, np.random.default_rng(3))
        for kind in augmentation.NOISE_KINDS
    }
    octaves = {
        kind: band_level_db(noise, 500, 1000) - band_level_db(noise, 1000, 2000)
        for kind, noise in noises.items()
    }
    assert octaves["white"] == pytest.approx(0, abs=0.3)
    assert octaves["pink"] == pytest.approx(3, abs=0.3)  # power falls as 1/f: 3 dB an octave
    assert octaves["babble"] == pytest.approx(6, abs=0.6)
    hum = band_level_db(noises["hum"], 0, 700) - band_level_db(noises["hum"], 1000, 8000)
    assert hum > 20


def test_babble_rises_and_falls_like_syllables_and_white_noise_does_not() -> None:
    def variation(kind: str) -> float:
        noise = augmentation.make_noise(kind, 10 * RATE_HZ, np.random.default_rng(4))
        levels = np.sqrt((noise.reshape(-1, 400) ** 2).mean(axis=1))
        return float(levels.std() / levels.mean())

    assert variation("babble") > 0.2
    assert variation("white") < 0.06


def test_an_unknown_noise_is_named() -> None:
    with pytest.raises(ValueError, match="'traffic'"):
        augmentation.make_noise("traffic", 10, np.random.default_rng(0))


@pytest.mark.parametrize("reverberation_s", [0.2, 0.5])
def test_reverberation_decays_by_60_db_in_its_time(reverberation_s: float) -> None:
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 1.0
    wet = augmentation.reverberate(
        click,
        np.random.default_rng(5),
        reverberation_s=reverberation_s,
        direct_to_reverberant_db=0.0,
    )
    assert wet.shape == click.shape
    assert power(wet) == pytest.approx(power(click), rel=1e-4)
    tail = wet[200 : round(reverberation_s * RATE_HZ) - 200].astype(np.float64)
    levels = 10 * np.log10((tail[: len(tail) // 100 * 100].reshape(-1, 100) ** 2).mean(axis=1))
    slope_db = np.polyfit(np.arange(len(levels)) * 100 / RATE_HZ, levels, 1)[0]
    assert slope_db * reverberation_s == pytest.approx(-60, abs=6)
    direct, late = float(wet[0]) ** 2, float(np.sum(wet[1:].astype(np.float64) ** 2))
    assert decibels(direct / late) == pytest.approx(0, abs=0.01)


def test_reverberation_does_not_wrap_around() -> None:
    samples = np.zeros(RATE_HZ, np.float32)
    samples[-10] = 1.0
    wet = augmentation.reverberate(
        samples, np.random.default_rng(6), reverberation_s=0.5, direct_to_reverberant_db=0.0
    )
    assert float(np.abs(wet[:-10]).max()) < 1e-6


def test_timbre_stays_within_its_depth() -> None:
    click = np.zeros(4096, np.float32)
    click[2048] = 1.0
    response = np.abs(
        np.fft.rfft(augmentation.change_timbre(click, np.random.default_rng(7), depth_db=6.0))
    )
    response_db = 20 * np.log10(response)
    assert np.all(np.abs(response_db) < 7.0)
    assert response_db.max() - response_db.min() > 1.0


def test_peak_is_limited_and_quiet_audio_untouched() -> None:
    loud = np.array([0.5, -2.0, 1.0], np.float32)
    np.testing.assert_allclose(augmentation.limit_peak(loud), loud * 0.97 / 2, rtol=1e-6)
    quiet = np.array([0.5, -0.9], np.float32)
    assert augmentation.limit_peak(quiet) is quiet


def test_silence_is_trimmed_and_padded() -> None:
    samples = np.array([0, 1e-6, 0.5, 0, -0.4, 1e-6, 0], np.float32)
    np.testing.assert_array_equal(
        augmentation.trim_silence(samples), np.array([0.5, 0, -0.4], np.float32)
    )
    silence = np.zeros(5, np.float32)
    np.testing.assert_array_equal(augmentation.trim_silence(silence), silence)
    padded = augmentation.pad_silence(np.ones(2, np.float32), 1, 3)
    np.testing.assert_array_equal(padded, [0, 1, 1, 0, 0, 0])


def test_the_same_generator_gives_the_same_samples() -> None:
    def changed(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        samples = augmentation.change_timbre(speechlike(), rng)
        samples = augmentation.reverberate(
            samples, rng, reverberation_s=0.3, direct_to_reverberant_db=5.0
        )
        return augmentation.add_noise(
            samples, augmentation.make_noise("babble", len(samples), rng), 10.0
        )

    np.testing.assert_array_equal(changed(1), changed(1))
    assert not np.array_equal(changed(1), changed(2))
