"""Schedules, magnitude masks, and the promise that zeros stay zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.magnitude import magnitude_mask
from sparsespeech.pruning.masks import PruningMasks, resolve_targets
from sparsespeech.pruning.schedule import SparsitySchedule
from sparsespeech.training.optimizer import WeightAverage

SCHEDULE = SparsitySchedule(start=100, end=500, interval=40, final=0.9)


def test_cubic_ramp_at_known_points() -> None:
    assert SCHEDULE.sparsity(99) == 0.0
    assert SCHEDULE.sparsity(100) == 0.0
    assert SCHEDULE.sparsity(300) == pytest.approx(0.9 * (1 - 0.5**3))
    assert SCHEDULE.sparsity(500) == 0.9
    assert SCHEDULE.sparsity(10_000) == 0.9


def test_initial_jump_and_linear_ramp() -> None:
    jump = SparsitySchedule(start=0, end=10, interval=1, final=0.8, initial=0.5)
    assert jump.sparsity(0) == pytest.approx(0.5)
    linear = SparsitySchedule(start=0, end=10, interval=1, final=0.8, shape="linear")
    assert linear.sparsity(5) == pytest.approx(0.4)
    assert jump.sparsity(0, final=0.3) == pytest.approx(0.3)  # a milder matrix never overshoots


@given(step=st.integers(0, 700))
def test_the_ramp_never_falls(step: int) -> None:
    assert SCHEDULE.sparsity(step) <= SCHEDULE.sparsity(step + 1)


def test_masks_change_every_interval_and_at_the_end() -> None:
    steps = [step for step in range(1000) if SCHEDULE.updates_masks(step)]
    assert steps == list(range(100, 501, 40))
    odd = SparsitySchedule(start=0, end=25, interval=10, final=0.5)
    assert [step for step in range(99) if odd.updates_masks(step)] == [0, 10, 20, 25]


@given(
    values=st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=60),
    first=st.floats(0, 0.99),
    second=st.floats(0, 0.99),
)
def test_mask_keeps_the_largest_and_only_shrinks(
    values: list[float], first: float, second: float
) -> None:
    weight = torch.tensor(values)
    mask = magnitude_mask(weight, torch.ones_like(weight), first)
    assert int((mask == 0).sum()) == round(first * len(values))
    kept, gone = weight[mask > 0].abs(), weight[mask == 0].abs()
    if kept.numel() and gone.numel():
        assert float(gone.max()) <= float(kept.min())
    later = magnitude_mask(weight.flip(0), mask, second)
    assert bool((later <= mask).all())
    assert int((later == 0).sum()) == max(round(first * len(values)), round(second * len(values)))


def test_zeros_stay_zero_under_adam_and_averaging() -> None:
    torch.manual_seed(0)
    model = nn.Linear(20, 10)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.01)
    average = WeightAverage(model, 0.9)
    schedule = SparsitySchedule(start=5, end=25, interval=5, final=0.8)
    masks = PruningMasks(dict(model.named_parameters()), {"weight": 0.8, "bias": 0.0}, schedule)
    for step in range(40):
        if schedule.updates_masks(step):
            masks.update(step, optimizer)
            masks.apply(average.values)
        optimizer.zero_grad()
        (model(torch.randn(8, 20)) ** 2).sum().backward()
        optimizer.step()
        average.update(step)
        masks.apply(average.values)
        gone = masks.masks["weight"] == 0
        assert bool((model.weight[gone] == 0).all())
        assert bool((average.values["weight"][gone] == 0).all())
    assert masks.sparsity() == pytest.approx(0.8)
    assert bool((model.weight[~gone] != 0).all())
    assert int((model.bias == 0).sum()) == 0


def test_moments_of_pruned_weights_are_cleared() -> None:
    model = nn.Linear(10, 10)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(4, 10)).sum().backward()
    optimizer.step()
    schedule = SparsitySchedule(start=0, end=1, interval=1, final=0.5)
    masks = PruningMasks(dict(model.named_parameters()), {"weight": 0.5}, schedule)
    masks.update(1, optimizer)
    gone = masks.masks["weight"] == 0
    assert float(optimizer.state[model.weight]["exp_avg"][gone].abs().max()) == 0.0
    assert float(optimizer.state[model.weight]["exp_avg"][~gone].abs().min()) > 0.0


def test_targets_by_regular_expression() -> None:
    names = ["layer1.weight", "layer4.directions.0.weight_hh", "layer6.weight"]
    targets = resolve_targets(names, 0.9, {r"^layer1\.": 0.8, r"layer6": 0.0})
    assert targets == dict(zip(names, [0.8, 0.9, 0.0], strict=True))


@pytest.mark.parametrize("expression", ["layer9", "("])
def test_expressions_that_match_nothing_are_errors(expression: str) -> None:
    with pytest.raises(RecipeError, match=r"pruning\.exceptions"):
        resolve_targets(["layer1.weight"], 0.9, {expression: 0.5})
