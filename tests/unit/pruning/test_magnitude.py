"""Exact selection of the smallest weights, against sorting."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsespeech.pruning.magnitude import (
    Weights,
    kth_smallest,
    magnitude_mask,
    smallest_counts,
)

# Few different values, so that ties are the rule; and any float32, tiny and huge ones too.
TIED = st.lists(st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, 2.0**-140]), min_size=1, max_size=40)
ANY = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40)


def sorted_mask(weight: Tensor, mask: Tensor, zeros: int) -> Tensor:
    """Brute force: a stable sort of all magnitudes, pruned weights first."""
    order = sorted(
        range(weight.numel()), key=lambda n: abs(float(weight[n])) if mask[n] > 0 else -1.0
    )
    result = mask.clone()
    result[order[:zeros]] = 0.0
    return result


@given(values=TIED | ANY, first=st.floats(0, 0.99), second=st.floats(0, 0.99), data=st.data())
def test_masks_equal_those_of_a_stable_sort(
    values: list[float], first: float, second: float, data: st.DataObject
) -> None:
    weight = torch.tensor(values)
    ones = torch.ones_like(weight)
    mask = magnitude_mask(weight, ones, first)
    assert torch.equal(mask, sorted_mask(weight, ones, round(first * len(values))))
    moved = torch.tensor(data.draw(st.permutations(values)))
    later = magnitude_mask(moved, mask, second)
    zeros = max(round(first * len(values)), round(second * len(values)))
    assert torch.equal(later, sorted_mask(moved, mask, zeros))
    assert bool((later <= mask).all())


@given(values=(TIED | ANY).map(lambda v: [abs(x) for x in v]), data=st.data())
def test_kth_smallest_is_that_of_a_sort(values: list[float], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(values)))
    assert kth_smallest(torch.tensor(values), k) == sorted(values)[k - 1]


def test_large_matrices_keep_the_exact_count() -> None:
    torch.manual_seed(0)
    weight = torch.randn(700, 300).round(decimals=2)  # many ties at the threshold
    mask = magnitude_mask(weight, torch.ones_like(weight), 0.777)
    assert int((mask == 0).sum()) == round(0.777 * 210_000)
    assert float(weight[mask == 0].abs().max()) <= float(weight[mask > 0].abs().min())


def brute_force_counts(tensors: list[Weights], total: int) -> list[int]:
    """Prune one weight after the other, the smallest first, within the bounds."""
    pool = sorted(
        (float(w.weight[n].abs()) if w.mask[n] > 0 else -1.0, number, n)
        for number, w in enumerate(tensors)
        for n in range(w.weight.numel())
    )
    pruned = [int((w.mask == 0).sum()) for w in tensors]
    counts = [max(min(w.lowest, w.highest), n) for w, n in zip(tensors, pruned, strict=True)]
    taken = [0] * len(tensors)
    for _, number, _ in pool:
        taken[number] += 1
        if sum(counts) < total and counts[number] < taken[number] <= tensors[number].highest:
            counts[number] += 1
    return counts


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    total=st.floats(0, 1),
    seed=st.integers(0, 10_000),
    bounds=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=4),
    spread=st.lists(st.floats(0.1, 10), min_size=4, max_size=4),
)
def test_a_common_threshold_within_bounds(
    sizes: list[int],
    total: float,
    seed: int,
    bounds: list[tuple[float, float]],
    spread: list[float],
) -> None:
    torch.manual_seed(seed)
    tensors = []
    for size, (low, high), scale in zip(sizes, bounds, spread, strict=False):
        mask = (torch.rand(size) < 0.8).float()
        tensors.append(
            Weights(
                torch.randn(size) * scale,
                mask,
                lowest=round(min(low, high) * size),
                highest=max(int(max(low, high) * size), int((mask == 0).sum())),
            )
        )
    wanted = round(total * sum(sizes))
    counts = smallest_counts(tensors, wanted)
    assert counts == brute_force_counts(tensors, wanted)


def test_ties_between_tensors_go_to_the_first() -> None:
    tensors = [Weights(torch.ones(4), torch.ones(4), 0, 4) for _ in range(2)]
    assert smallest_counts(tensors, 5) == [4, 1]
    assert smallest_counts(tensors, 8) == [4, 4]
    assert smallest_counts(tensors, 0) == [0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mask_has_the_type_of_the_mask_before(dtype: torch.dtype) -> None:
    weight = torch.tensor([1.0, -3.0, 2.0], dtype=dtype)
    mask = magnitude_mask(weight, torch.ones_like(weight), 0.34)
    assert mask.dtype == dtype
    assert mask.tolist() == [0.0, 1.0, 1.0]
