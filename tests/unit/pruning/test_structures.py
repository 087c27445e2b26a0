"""Patterns: what each promises, and that the largest weights under it stay."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from sparsespeech.pruning.structure_settings import (
    BankBalanced,
    Block,
    NOfM,
    RowCap,
    Structure,
    Unstructured,
)
from sparsespeech.pruning.structures import least_sparsity, structured_mask

BANK = BankBalanced(kind="bank_balanced", bank=8)
CAP = RowCap(kind="row_cap", keep=3, columns=16)
TWO_OF_FOUR = NOfM(kind="n_of_m")
BLOCK = Block(kind="block", rows=2, columns=4)
ALL = [Unstructured(), BANK, CAP, TWO_OF_FOUR, BLOCK]


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return torch.randn(rows, columns)


def mask_of(weight: Tensor, sparsity: float, structure: Structure) -> Tensor:
    return structured_mask(weight, torch.ones_like(weight), sparsity, structure)


def test_banks_keep_equally_many() -> None:
    mask = mask_of(matrix(6, 20), 0.75, BANK)
    assert (mask[:, 0:8].sum(1) == 2).all()
    assert (mask[:, 8:16].sum(1) == 2).all()
    assert (mask[:, 16:20].sum(1) == 1).all()  # the narrow last bank in proportion


@pytest.mark.parametrize("columns", [5, 16, 20])
def test_every_whole_bank_keeps_a_weight(columns: int) -> None:
    """A global threshold may ask for more zeros than that."""
    mask = mask_of(matrix(6, columns), 0.97, BANK)
    for first in range(0, max(columns - 7, 1), 8):
        assert (mask[:, first : first + 8].sum(1) == 1).all()


def test_banks_keep_their_largest_weights() -> None:
    weight = matrix(5, 16)
    mask = mask_of(weight, 0.5, BANK)
    for row, first in itertools.product(range(5), (0, 8)):
        bank = slice(first, first + 8)
        wanted = weight[row, bank].abs().topk(4).indices.sort().values
        assert torch.equal(mask[row, bank].nonzero()[:, 0], wanted)


def test_ties_inside_a_bank_go_by_position() -> None:
    mask = mask_of(torch.ones(2, 8), 0.75, BANK)
    assert mask.tolist() == [[0, 0, 0, 0, 0, 0, 1, 1]] * 2


def test_a_row_cap_holds_in_every_slice_and_the_total_is_exact() -> None:
    weight = matrix(12, 40)
    weight[:, :16] *= 5  # without the cap the first slice would keep nearly all
    mask = mask_of(weight, 0.85, CAP)
    for first in (0, 16, 32):
        assert (mask[:, first : first + 16].sum(1) <= 3).all()
    assert int(mask.sum()) == 12 * 40 - round(0.85 * 480)
    assert int(mask_of(weight, 0.85, Unstructured())[:, :16].sum(1).max()) > 3


@given(
    values=st.lists(st.sampled_from([1.0, 2.0, 3.0, 5.0, 8.0]), min_size=8, max_size=8),
    kept=st.integers(0, 8),
)
def test_a_row_cap_keeps_the_largest_possible_sum(values: list[float], kept: int) -> None:
    weight = torch.tensor([values])
    mask = mask_of(weight, 1 - kept / 8, TWO_OF_FOUR)
    best = max(
        sum(values[n] for n in chosen)
        for size in range(min(kept, 4) + 1)
        for chosen in itertools.combinations(range(8), size)
        if sum(n < 4 for n in chosen) <= 2 and sum(n >= 4 for n in chosen) <= 2
    )
    assert float((mask * weight).sum()) == best


def test_two_of_four() -> None:
    mask = mask_of(matrix(7, 24), 0.5, TWO_OF_FOUR)
    assert (mask.view(7, 6, 4).sum(2) == 2).all()


def test_a_relaxed_cap_lets_the_ramp_pass() -> None:
    weight = matrix(4, 32)
    ones = torch.ones_like(weight)
    early = structured_mask(weight, ones, 0.25, TWO_OF_FOUR, relaxation=1.5)
    assert float(early.mean()) == 0.75
    assert (early.view(4, 8, 4).sum(2) <= 3).all()
    strict = structured_mask(weight, ones, 0.25, TWO_OF_FOUR)
    assert float(strict.mean()) == 0.5


def test_blocks_live_or_die_as_one() -> None:
    weight = matrix(6, 16)
    mask = mask_of(weight, 0.5, BLOCK)
    blocks = mask.view(3, 2, 4, 4).permute(0, 2, 1, 3).reshape(12, 8)
    assert sorted(set(blocks.sum(1).tolist())) == [0.0, 8.0]
    size = weight.abs().view(3, 2, 4, 4).permute(0, 2, 1, 3).reshape(12, 8).sum(1)
    kept = blocks.sum(1) > 0
    assert int(kept.sum()) == 6
    assert float(size[kept].min()) > float(size[~kept].max())


def test_blocks_at_the_edge_are_judged_by_their_mean() -> None:
    weight = torch.ones(3, 5)
    weight[2, 4] = 9.0  # a block of one weight: the largest mean
    weight[0, 0] = 0.1
    mask = mask_of(weight, 0.75, BLOCK)
    assert mask.shape == (3, 5)
    assert mask.nonzero().tolist() == [[2, 4]]


@pytest.mark.parametrize("structure", ALL)
@given(data=st.data())
def test_a_pruned_weight_never_comes_back(structure: Structure, data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 37))
    first, second = sorted(data.draw(st.tuples(st.floats(0, 0.9), st.floats(0, 0.9))))
    mask = mask_of(matrix(rows, columns), first, structure)
    later = structured_mask(matrix(rows, columns, seed=1), mask, second, structure)
    assert later.shape == (rows, columns)
    assert bool((later <= mask).all())
    assert set(later.flatten().tolist()) <= {0.0, 1.0}


def test_the_sparsity_that_a_pattern_makes_by_itself() -> None:
    assert least_sparsity(CAP, 32) == pytest.approx(1 - 3 / 16)
    assert least_sparsity(CAP, 18) == pytest.approx(1 - 5 / 18)
    assert least_sparsity(CAP, 2) == 0.0
    assert least_sparsity(TWO_OF_FOUR, 8) == 0.5
    assert least_sparsity(BANK, 8) == least_sparsity(Unstructured(), 8) == 0.0
