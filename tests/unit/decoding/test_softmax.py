"""The host's log-softmax (R9) against scipy."""

import numpy as np
import pytest
from scipy.special import log_softmax as scipy_log_softmax

from sparsespeech.decoding.softmax import log_softmax


@pytest.mark.parametrize("classes_of_scale", [1, 29])
def test_equals_scipy(classes_of_scale: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.integers(-(2**31), 2**31, size=(50, 29))
    scale = rng.uniform(1e-9, 1e-8, classes_of_scale).astype(np.float32)
    ours = log_softmax(logits, scale)
    assert ours.dtype == np.float32
    expected = scipy_log_softmax(logits.astype(np.float64) * scale.astype(np.float64), axis=1)
    np.testing.assert_array_equal(ours, expected.astype(np.float32))


def test_huge_differences_stay_finite_and_probabilities_sum_to_one() -> None:
    ours = log_softmax(np.array([[2**40, 0, -(2**40)]]), np.array([1.0], np.float32))
    assert np.isfinite(ours).all()
    assert np.exp(ours.astype(np.float64)).sum() == pytest.approx(1.0)


def test_no_frames() -> None:
    assert log_softmax(np.zeros((0, 29), np.int64), np.ones(1, np.float32)).shape == (0, 29)
