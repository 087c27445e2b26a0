from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.quantization import codebook as codebooks
from sparsespeech.quantization.codebook import Codebook, Initialisation, build_codebook

INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)


def squared_error(weights: NDArray[np.float64], codebook: Codebook) -> float:
    return float(((codebook.quantize(weights) - weights) ** 2).sum())


def best_error(weights: NDArray[np.float64], size: int) -> float:
    """Over all ways to cut the sorted weights into ``size`` intervals."""
    ordered = np.sort(weights)
    return min(
        sum(
            float(((part - part.mean()) ** 2).sum())
            for part in np.split(ordered, cuts)
            if part.size
        )
        for cuts in itertools.combinations_with_replacement(range(ordered.size + 1), size - 1)
    )


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_optimal_codebooks_by_brute_force(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.round(rng.normal(size=9), 1)
    found = squared_error(weights, build_codebook(weights, size))
    assert found == pytest.approx(best_error(weights, size), abs=1e-9)


def test_counts_stand_for_repeated_weights() -> None:
    rng = np.random.default_rng(3)
    different = np.arange(-20, 21)
    counts = rng.integers(0, 50, different.size)
    repeated = np.repeat(different, counts)
    for initialisation in INITIALISATIONS:
        once = build_codebook(different[counts > 0], 6, initialisation, counts[counts > 0])
        assert once.values.tolist() == build_codebook(repeated, 6, initialisation).values.tolist()


def test_bins_lose_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.random.default_rng(4).normal(size=900)
    exact = squared_error(weights, build_codebook(weights, 8))
    monkeypatch.setattr(codebooks, "_BINS", 128)
    binned = squared_error(weights, build_codebook(weights, 8))
    assert exact <= binned < 1.02 * exact


@pytest.mark.parametrize("size", [16, 32])
def test_repeated_weights_and_an_outlier_leave_values_for_the_others(size: int) -> None:
    small = np.random.default_rng(7).normal(0.0, 1e-3, 2000)
    weights = np.concatenate((np.full(100_000, 0.5), small, [100.0]))
    codebook = build_codebook(weights, size)
    assert codebook.values.size == size
    assert np.isfinite(codebook.values).all()
    assert codebook.quantize(weights[-1:]) == 100.0
    # Two values for the others, the rest evenly over the small weights.
    step = (small.max() - small.min()) / (size - 2)
    assert squared_error(weights, codebook) < small.size * step**2 / 12


@pytest.mark.parametrize("size", [16, 32, 64])
def test_pruned_gaussian_weights(size: int) -> None:
    weights = np.random.default_rng(5).normal(size=60_000)
    weights = weights[np.abs(weights) > 1.5]
    errors = {}
    for initialisation in INITIALISATIONS:
        codebook = build_codebook(weights, size, initialisation)
        assert codebook.values.size <= size
        assert (np.diff(codebook.values) > 0).all()
        errors[initialisation] = squared_error(weights, codebook)
        codes = codebook.codes(weights)
        distances = np.abs(weights[:, np.newaxis] - codebook.values)
        assert np.allclose(distances[np.arange(weights.size), codes], distances.min(axis=1))
        means = [weights[codes == code].mean() for code in np.unique(codes)]
        assert np.allclose(means, codebook.values[np.unique(codes)], atol=2e-2)
    assert errors["optimal"] <= errors["linear"]
    # A uniform quantizer of as many steps over the same range is worse than the best codebook.
    step = (weights.max() - weights.min()) / size
    assert errors["optimal"] < weights.size * step**2 / 12


def test_few_different_weights_are_kept_exactly() -> None:
    weights = np.array([0.5, -0.25, 0.5, 0.125], dtype=np.float32)
    for initialisation in INITIALISATIONS:
        codebook = build_codebook(weights, 4, initialisation)
        assert codebook.values.tolist() == [-0.25, 0.125, 0.5]
        assert codebook.quantize(weights).tolist() == weights.tolist()


def test_linear_start_keeps_a_lone_large_weight_apart() -> None:
    weights = np.concatenate((np.random.default_rng(6).normal(size=1000), [50.0]))
    assert build_codebook(weights, 4, "linear").values[-1] == 50.0


@pytest.mark.parametrize(("weights", "size"), [([], 4), ([1.0], 0)])
def test_nothing_to_share_is_an_error(weights: list[float], size: int) -> None:
    with pytest.raises(ValueError, match="cannot share"):
        build_codebook(np.array(weights), size)


def test_the_larger_value_wins_a_tie() -> None:
    assert Codebook(np.array([-1.0, 1.0])).codes(np.array([0.0, -0.1])).tolist() == [1, 0]
