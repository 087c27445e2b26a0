"""Feature augmentation: identity, bounds, what each part does."""

import numpy as np
import pytest

from sparsespeech.features.mfcc import MfccConfig, cosine_transform
from sparsespeech.training.augmentation import (
    FeatureAugmentation,
    interpolate_rows,
    stretch,
    warp_channels,
)
from sparsespeech.training.recipe import Augmentation

CONFIG = MfccConfig()
OFF = {
    "frequency_masks": 0,
    "time_masks": 0,
    "time_stretch": 0.0,
    "frequency_warp": 0.0,
    "gain_db": 0.0,
}
FRAMES = np.random.default_rng(0).standard_normal((60, 26)).astype(np.float32)


def augment(seed: int = 0, config: MfccConfig = CONFIG, fewest: int = 1, **on: float) -> np.ndarray:
    settings = Augmentation(**{**OFF, **on})
    return FeatureAugmentation(settings, config, np.full(26, 7.0))(
        FRAMES, fewest, np.random.default_rng(seed)
    )


def test_nothing_on_changes_nothing() -> None:
    np.testing.assert_allclose(augment(), FRAMES, atol=1e-4)


def test_a_seed_fixes_the_result() -> None:
    everything = {"frequency_masks": 2, "time_masks": 2, "time_stretch": 0.1, "gain_db": 6.0}
    np.testing.assert_array_equal(augment(3, **everything), augment(3, **everything))
    assert augment(3, **everything).shape != augment(4, **everything).shape


def test_gain_moves_the_first_coefficient_only() -> None:
    difference = augment(gain_db=10.0) - FRAMES
    np.testing.assert_allclose(difference[:, 1:], 0, atol=1e-4)
    decibels = float(difference[0, 0]) / np.sqrt(26) * 10 / np.log(10)
    assert 0 < abs(decibels) <= 10
    np.testing.assert_allclose(difference[:, 0], difference[0, 0], atol=1e-4)


def test_log_energy_is_left_alone() -> None:
    config = MfccConfig(first_coefficient="log_energy")
    changed = augment(config=config, gain_db=10.0, frequency_warp=0.2)
    np.testing.assert_array_equal(changed[:, 0], FRAMES[:, 0])


def test_frequency_masks_flatten_channels() -> None:
    mel = augment(1, frequency_masks=1, frequency_mask_width=5) @ cosine_transform(CONFIG)
    original = FRAMES @ cosine_transform(CONFIG)
    flat = np.flatnonzero(mel.std(axis=0) < 1e-3)
    assert 1 <= flat.size <= 5
    np.testing.assert_array_equal(np.diff(flat), 1)
    np.testing.assert_allclose(np.delete(mel, flat, 1), np.delete(original, flat, 1), atol=1e-4)


def test_time_masks_put_the_mean() -> None:
    changed = augment(2, time_masks=1, time_mask_frames=20, time_mask_share=0.2)
    masked = (changed == 7.0).all(axis=1)
    assert 1 <= masked.sum() <= 12  # a fifth of 60 frames at most
    np.testing.assert_allclose(changed[~masked], FRAMES[~masked], atol=1e-4)


def test_stretch_keeps_ends_and_room_for_the_text() -> None:
    longer = stretch(FRAMES, 90)
    np.testing.assert_array_equal(longer[[0, -1]], FRAMES[[0, -1]])
    assert len(augment(0, time_stretch=0.4, fewest=60)) >= 60
    assert len(stretch(FRAMES[:1], 3)) == 3


@pytest.mark.parametrize("amount", [-0.3, 0.3])
def test_warp_fixes_the_ends_and_moves_the_middle(amount: float) -> None:
    ramp = np.tile(np.arange(26, dtype=np.float32), (2, 1))
    moved = warp_channels(ramp, amount)[0] - ramp[0]
    np.testing.assert_allclose(moved[[0, -1]], 0, atol=1e-5)
    assert np.sign(moved[13]) == np.sign(amount)
    assert abs(moved[13]) == pytest.approx(0.3 * 26 / 2, rel=0.02)


def test_interpolation_between_rows() -> None:
    rows = np.array([[0.0], [10.0], [20.0]], np.float32)
    np.testing.assert_allclose(
        interpolate_rows(rows, np.array([0.0, 0.25, 1.5, 2.0])).ravel(), [0, 2.5, 15, 20]
    )
