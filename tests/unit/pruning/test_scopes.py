"""Groups of competing weights: matrices, gates, all together."""

from __future__ import annotations

import pytest
import torch

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.scopes import Group, pruning_groups
from sparsespeech.pruning.settings import Scope
from sparsespeech.pruning.structure_settings import Unstructured
from sparsespeech.pruning.targets import Target

SHAPES = {"layer1.weight": (8, 5), "lstm.weight_ih": (16, 5), "lstm.weight_hh": (16, 4)}


def target(scope: Scope, sparsity: float = 0.8, low: float = 0.0, high: float = 0.99) -> Target:
    return Target(sparsity, Unstructured(), scope, low, high)


def groups(scope: Scope, **values: float) -> list[Group]:
    return pruning_groups({name: target(scope, **values) for name in SHAPES}, SHAPES)


def test_a_group_a_matrix() -> None:
    found = groups("layer")
    assert [group.name for group in found] == list(SHAPES)
    assert [(g.parts[0].first, g.parts[0].after) for g in found] == [(0, 8), (0, 16), (0, 16)]


def test_gates_of_lstm_matrices_only() -> None:
    found = groups("gate")
    assert [group.name for group in found] == [
        "layer1.weight",
        *(f"lstm.weight_ih/{gate}" for gate in "ifgo"),
        *(f"lstm.weight_hh/{gate}" for gate in "ifgo"),
    ]
    assert [(g.parts[0].first, g.parts[0].after) for g in found[1:5]] == [
        (0, 4),
        (4, 8),
        (8, 12),
        (12, 16),
    ]


def test_one_pool_with_the_mean_as_its_goal() -> None:
    targets = {name: target("global") for name in SHAPES}
    targets["layer1.weight"] = target("global", sparsity=0.5)
    targets["lstm.weight_hh"] = target("layer", sparsity=0.1)
    alone, pool = pruning_groups(targets, SHAPES)
    assert alone.name == "lstm.weight_hh"
    assert [part.name for part in pool.parts] == ["layer1.weight", "lstm.weight_ih"]
    assert pool.goal == pytest.approx((40 * 0.5 + 80 * 0.8) / 120)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.7), (0.85, 0.99)])
def test_a_pool_without_room(low: float, high: float) -> None:
    with pytest.raises(RecipeError, match="does not fit between"):
        groups("global", low=low, high=high)


def test_lower_bounds_grow_with_the_ramp() -> None:
    (pool,) = groups("global", sparsity=0.8, low=0.5)
    torch.manual_seed(0)
    weights = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    weights["layer1.weight"] += 100.0  # never chosen by its size
    masks = {name: torch.ones(shape) for name, shape in SHAPES.items()}
    assert pool.sparsities(weights, masks, 0.4)[0] == 0.25
    assert pool.sparsities(weights, masks, 0.8)[0] == 0.5
    total = sum(
        share * weights[name].numel()
        for name, share in zip(SHAPES, pool.sparsities(weights, masks, 0.4), strict=True)
    )
    assert total == pytest.approx(0.4 * 184, abs=0.5)


def test_shares_and_quantiles_of_a_pool() -> None:
    (pool,) = groups("global")
    weights = {name: torch.full(shape, 2.0) for name, shape in SHAPES.items()}
    weights["lstm.weight_ih"] = torch.arange(80.0).view(16, 5)
    masks = {name: torch.ones(shape) for name, shape in SHAPES.items()}
    masks["lstm.weight_hh"][:] = 0.0
    everything = torch.cat([w.flatten() for w in weights.values()]).sort().values
    assert pool.quantile(weights) == float(everything[round(0.8 * 184) - 1])
    assert pool.share_below(weights, masks, 10.0) == pytest.approx((40 + 10 + 64) / 184)
