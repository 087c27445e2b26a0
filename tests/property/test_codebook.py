"""Codebooks of weights as uneven as training leaves them: repeated, far out, nearly 0."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.quantization.codebook import build_codebook


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 64),
    spread=st.integers(1, 4000),
    deviation=st.sampled_from([1e-6, 1e-3, 0.1]),
    repeated=st.integers(0, 100_000),
    value=st.sampled_from([-0.5, 1e-4, 0.5]),
    outliers=st.lists(st.sampled_from([-1000.0, -3.0, 7.0, 100.0]), max_size=4),
)
def test_values_are_finite_few_nearest_and_no_worse_than_equal_groups(
    seed: int,
    size: int,
    spread: int,
    deviation: float,
    repeated: int,
    value: float,
    outliers: list[float],
) -> None:
    random = np.random.default_rng(seed)
    weights = np.concatenate(
        (random.normal(0.0, deviation, spread), np.full(repeated, value), outliers)
    )
    codebook = build_codebook(weights, size)
    assert np.isfinite(codebook.values).all()
    assert 1 <= codebook.values.size <= size
    assert (np.diff(codebook.values) > 0).all()
    different, counts = np.unique(weights, return_counts=True)
    distances = np.abs(different[:, np.newaxis] - codebook.values)
    nearest = distances.min(axis=1)
    chosen = distances[np.arange(different.size), codebook.codes(different)]
    assert np.allclose(chosen, nearest, rtol=0.0, atol=1e-12)
    # Sums over all weights are rounded to about 16 digits of the largest.
    rounding = 1e-12 * float(counts @ different**2)
    error = float(counts @ nearest**2)
    assert error <= error_of_equal_groups(different, counts, size) + rounding


def error_of_equal_groups(
    different: NDArray[np.float64], counts: NDArray[np.int64], size: int
) -> float:
    """Squared error where ``size`` groups hold equally many different weights each."""
    cuts = np.linspace(0, different.size, size + 1).astype(np.int64)
    error = 0.0
    for first, last in itertools.pairwise(cuts):
        values, often = different[first:last], counts[first:last]
        if values.size:
            error += float(often @ (values - np.average(values, weights=often)) ** 2)
    return error
