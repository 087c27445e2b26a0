"""Seeded changes of a waveform that rooms, microphones and surroundings make.

Samples are float32 [n], mono, full scale +-1; levels are decibels; every random draw comes from
the generator given. Pure numpy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
NOISE_KINDS = ("white", "pink", "hum", "babble")


def change_gain(samples: Samples, gain_db: float) -> Samples:
    """Scale by ``gain_db`` decibels."""
    return (samples * np.float32(10.0 ** (gain_db / 20.0))).astype(np.float32)


def limit_peak(samples: Samples, peak: float = 0.97) -> Samples:
    """Scale down so that no sample exceeds ``peak``; quieter audio stays as it is."""
    highest = float(np.max(np.abs(samples), initial=0.0))
    return samples if highest <= peak else (samples * np.float32(peak / highest)).astype(np.float32)


def trim_silence(samples: Samples, threshold_db: float = -45.0) -> Samples:
    """Cut the samples before and after the part within ``threshold_db`` of the peak."""
    magnitude = np.abs(samples)
    loud = np.flatnonzero(magnitude > magnitude.max(initial=0.0) * 10.0 ** (threshold_db / 20.0))
    return samples if len(loud) == 0 else samples[loud[0] : loud[-1] + 1]


def pad_silence(samples: Samples, before: int, after: int) -> Samples:
    """Add ``before`` and ``after`` zero samples."""
    return np.concatenate([np.zeros(before, np.float32), samples, np.zeros(after, np.float32)])


def reverberate(
    samples: Samples,
    rng: np.random.Generator,
    *,
    reverberation_s: float,
    direct_to_reverberant_db: float,
    sample_rate_hz: int = 16000,
) -> Samples:
    """Convolve with a direct path and an exponentially decaying tail of Gaussian noise.

    ``reverberation_s`` is the time in which the tail falls by 60 dB. Length and energy of the
    input are kept.
    """
    length = max(1, round(reverberation_s * sample_rate_hz))
    times = np.arange(length) / sample_rate_hz
    tail = rng.standard_normal(length) * 10.0 ** (-3.0 * times / reverberation_s)
    # The first reflection needs a few metres: 2 to 10 ms without a tail.
    tail[: round(rng.uniform(0.002, 0.010) * sample_rate_hz)] = 0.0
    tail *= 10.0 ** (-direct_to_reverberant_db / 20.0) / max(float(np.linalg.norm(tail)), 1e-12)
    tail[0] = 1.0
    wet = _convolve(samples, tail)[: len(samples)]
    dry_energy, wet_energy = float(np.sum(samples.astype(np.float64) ** 2)), float(np.sum(wet**2))
    level = float(np.sqrt(dry_energy / max(wet_energy, 1e-20)))
    return (wet * level).astype(np.float32)


def change_timbre(samples: Samples, rng: np.random.Generator, *, depth_db: float = 6.0) -> Samples:
    """Filter by a smooth random frequency response within about +-``depth_db``: a microphone."""
    anchors = rng.uniform(-depth_db, depth_db, size=7)
    size = 1 << max(1, int(len(samples) - 1).bit_length())
    positions = np.linspace(0.0, 6.0, size // 2 + 1)
    gains = 10.0 ** (np.interp(positions, np.arange(7), anchors) / 20.0)
    filtered = np.fft.irfft(np.fft.rfft(samples, size) * gains, size)[: len(samples)]
    return filtered.astype(np.float32)


def make_noise(
    kind: str, length: int, rng: np.random.Generator, sample_rate_hz: int = 16000
) -> NDArray[np.float64]:
    """``length`` samples of noise of root mean square 1; ``kind`` is one of NOISE_KINDS."""
    if kind == "white":
        noise = rng.standard_normal(length)
    elif kind == "pink":
        noise = _shaped_noise(length, rng, -0.5, sample_rate_hz)
    elif kind == "hum":
        noise = _hum(length, rng, sample_rate_hz)
    elif kind == "babble":
        noise = _babble(length, rng, sample_rate_hz)
    else:
        raise ValueError(f"noise must be one of {NOISE_KINDS}, got {kind!r}")
    noise /= max(float(np.sqrt(np.mean(noise**2))), 1e-12)
    return noise


def add_noise(samples: Samples, noise: NDArray[np.float64], signal_to_noise_db: float) -> Samples:
    """Add ``noise`` scaled so that signal power over noise power is ``signal_to_noise_db``."""
    signal_power = float(np.mean(samples.astype(np.float64) ** 2))
    noise_power = max(float(np.mean(noise**2)), 1e-20)
    scale = float(np.sqrt(signal_power / (noise_power * 10.0 ** (signal_to_noise_db / 10.0))))
    return (samples + scale * noise).astype(np.float32)


def _convolve(samples: Samples, response: NDArray[np.float64]) -> NDArray[np.float64]:
    total = len(samples) + len(response) - 1
    size = 1 << max(1, (total - 1).bit_length())
    product = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    return np.asarray(np.fft.irfft(product, size)[:total], dtype=np.float64)


def _shaped_noise(
    length: int, rng: np.random.Generator, exponent: float, sample_rate_hz: int
) -> NDArray[np.float64]:
    """Gaussian noise whose amplitude spectrum is frequency^exponent above 50 Hz, flat below."""
    size = 1 << max(1, (length - 1).bit_length())
    frequencies = np.fft.rfftfreq(size, 1.0 / sample_rate_hz)
    gains = np.maximum(frequencies, 50.0) ** exponent
    spectrum = np.fft.rfft(rng.standard_normal(size)) * gains
    return np.asarray(np.fft.irfft(spectrum, size)[:length], dtype=np.float64)


def _hum(length: int, rng: np.random.Generator, sample_rate_hz: int) -> NDArray[np.float64]:
    """Mains hum of 50 or 60 Hz: ten harmonics of falling strength over a little white noise."""
    mains_hz = float(rng.choice([50.0, 60.0]))
    times = np.arange(length) / sample_rate_hz
    noise = 0.05 * rng.standard_normal(length)
    for harmonic in range(1, 11):
        phase = rng.uniform(0.0, 2.0 * np.pi)
        strength = rng.uniform(0.3, 1.0) / harmonic
        noise += strength * np.sin(2.0 * np.pi * mains_hz * harmonic * times + phase)
    return noise


def _babble(length: int, rng: np.random.Generator, sample_rate_hz: int) -> NDArray[np.float64]:
    """Six speech-shaped noises, each rising and falling at its own syllable rate of 2 to 6 Hz."""
    times = np.arange(length) / sample_rate_hz
    total = np.zeros(length)
    for _ in range(6):
        syllables_hz = rng.uniform(2.0, 6.0)
        phase = rng.uniform(0.0, 2.0 * np.pi)
        envelope = np.maximum(np.sin(2.0 * np.pi * syllables_hz * times + phase), 0.0)
        total += envelope * _shaped_noise(length, rng, -1.0, sample_rate_hz)
    return total
