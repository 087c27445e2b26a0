"""Augmentation of MFCC frames: tempo, vocal tract length, gain and SpecAugment.

Axes: T frames, F coefficients, M mel channels.

Cepstra are a linear picture of log mel energies, so frequency warps and masks are made on the
mel axis and turned back. Sources: SpecAugment [Park et al. 2019], vocal tract length
perturbation [Jaitly & Hinton 2013].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.features.mfcc import MfccConfig, cosine_transform
from sparsespeech.training.recipe import Augmentation

Float32Array = NDArray[np.float32]


class FeatureAugmentation:
    """Random changes of one utterance, all drawn from the generator that is passed in."""

    def __init__(
        self, settings: Augmentation, config: MfccConfig, mean: NDArray[np.float64]
    ) -> None:
        """``mean`` float64[F] fills masked frames."""
        self._settings = settings
        self._transform = cosine_transform(config).astype(np.float32)  # [F, M]
        self._inverse = np.linalg.pinv(self._transform).astype(np.float32)  # [M, F]
        self._mean = mean.astype(np.float32)
        self._keeps_first = config.first_coefficient == "log_energy"

    def __call__(
        self, frames: Float32Array, fewest_frames: int, random: np.random.Generator
    ) -> Float32Array:
        """Changed copy of ``frames`` float32[T, F] with at least ``fewest_frames`` frames."""
        settings = self._settings
        factor = random.uniform(1 - settings.time_stretch, 1 + settings.time_stretch)
        count = max(fewest_frames, round(len(frames) * factor))
        stretched = stretch(frames, count)
        mel = stretched @ self._inverse.T  # [T, M]
        mel = warp_channels(mel, random.uniform(-1, 1) * settings.frequency_warp)
        mel += random.uniform(-1, 1) * settings.gain_db * (np.log(10) / 10)  # power decibels
        self._mask_channels(mel, random)
        result: Float32Array = mel @ self._transform.T
        if self._keeps_first:
            result[:, 0] = stretched[:, 0]
        self._mask_frames(result, random)
        return result

    def _mask_channels(self, mel: Float32Array, random: np.random.Generator) -> None:
        channels = mel.shape[1]
        for _ in range(self._settings.frequency_masks):
            width = int(random.integers(0, min(self._settings.frequency_mask_width, channels) + 1))
            first = int(random.integers(0, channels - width + 1))
            masked = slice(first, first + width)
            mel[:, masked] = mel[:, masked].mean(axis=0)

    def _mask_frames(self, frames: Float32Array, random: np.random.Generator) -> None:
        settings = self._settings
        longest = min(settings.time_mask_frames, int(len(frames) * settings.time_mask_share))
        for _ in range(settings.time_masks):
            width = int(random.integers(0, longest + 1))
            first = int(random.integers(0, len(frames) - width + 1))
            frames[first : first + width] = self._mean


def stretch(frames: Float32Array, count: int) -> Float32Array:
    """Linear interpolation of ``frames`` [T, F] to ``count`` frames."""
    return interpolate_rows(frames, np.linspace(0, len(frames) - 1, count))


def warp_channels(mel: Float32Array, amount: float) -> Float32Array:
    """Shift the mel axis by up to ``amount`` / 2 of its length in its middle, ends fixed."""
    channels = mel.shape[1]
    place = np.arange(channels, dtype=np.float64)
    bent = place + amount * channels / 2 * np.sin(np.pi * place / max(channels - 1, 1))
    return interpolate_rows(mel.T, np.clip(bent, 0, channels - 1)).T.copy()


def interpolate_rows(rows: Float32Array, position: NDArray[np.float64]) -> Float32Array:
    """Rows [P, ...] at real-valued row positions float64[P] within ``rows``."""
    below = np.minimum(position.astype(np.int64), max(len(rows) - 2, 0))
    above = np.minimum(below + 1, len(rows) - 1)
    share = (position - below).astype(np.float32)[:, None]
    result: Float32Array = rows[below] * (1 - share) + rows[above] * share
    return result
