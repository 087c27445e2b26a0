"""The microphone, room, noise and level around an utterance of a synthesised corpus."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.corpora import augmentation


def place_in_surroundings(
    samples: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Random microphone, room, noise and level: about half of the utterances stay nearly clean."""
    before, after = rng.integers(800, 4800, size=2)
    samples = augmentation.pad_silence(augmentation.trim_silence(samples), int(before), int(after))
    if rng.random() < 0.5:
        samples = augmentation.change_timbre(samples, rng, depth_db=float(rng.uniform(1.0, 8.0)))
    if rng.random() < 0.4:
        samples = augmentation.reverberate(
            samples,
            rng,
            reverberation_s=float(rng.uniform(0.1, 0.6)),
            direct_to_reverberant_db=float(rng.uniform(0.0, 15.0)),
        )
    # Digital silence exists in no real recording, so the clean half gets a faint floor.
    noisy = rng.random() < 0.5
    kind = str(rng.choice(augmentation.NOISE_KINDS)) if noisy else "pink"
    level_db = float(rng.uniform(5.0, 30.0)) if noisy else float(rng.uniform(35.0, 60.0))
    samples = augmentation.add_noise(
        samples, augmentation.make_noise(kind, len(samples), rng), level_db
    )
    target_db = float(rng.uniform(-32.0, -16.0))
    power = float(np.mean(samples.astype(np.float64) ** 2))
    if power > 0.0:  # zeros stay zeros: noise is relative to them, and they have no level
        samples = augmentation.change_gain(samples, target_db - 10.0 * float(np.log10(power)))
    return augmentation.limit_peak(samples)
