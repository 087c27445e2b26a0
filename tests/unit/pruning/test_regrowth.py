"""Straight-through pruning: masked forward, dense gradients, weights that come back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.pruning.settings import Pruning


def build(model: nn.Module, regrowth: dict[str, float] | None, **values: object) -> PruningMasks:
    settings = Pruning.model_validate(
        {
            "final_sparsity": 0.5,
            "start": 0.0,
            "end": 0.5,
            "updates": 5,
            "exceptions": {},
            "regrowth": regrowth,
            **values,
        }
    )
    return PruningMasks.build(settings, dict(model.named_parameters()), ["weight"], 20, 5)


def linear(weights: list[float]) -> nn.Linear:
    model = nn.Linear(len(weights), 1, bias=False)
    model.weight.data = torch.tensor([weights])
    return model


def test_forward_sees_masked_weights_and_the_gradient_reaches_all() -> None:
    model = linear([1.0, 2.0, 3.0, 4.0])
    masks = build(model, {})
    masks.update(10, 2, torch.optim.SGD(model.parameters(), lr=1.0))
    x = torch.tensor([[1.0, 10.0, 100.0, 1000.0]], requires_grad=True)
    with masks.forward_weights():
        assert model.weight.tolist() == [[0.0, 0.0, 3.0, 4.0]]
        y = model(x)
        y.backward()
    assert float(y.detach()) == 4300.0
    assert x.grad is not None
    assert x.grad.tolist() == [[0.0, 0.0, 3.0, 4.0]]
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[1.0, 10.0, 100.0, 1000.0]]
    assert model.weight.tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_the_dense_weights_are_back_after_an_error() -> None:
    model = linear([1.0, 2.0])
    masks = build(model, {})
    masks.update(10, 2, torch.optim.SGD(model.parameters(), lr=1.0))
    with pytest.raises(ValueError, match="inside"), masks.forward_weights():
        raise ValueError("inside")
    assert model.weight.tolist() == [[1.0, 2.0]]


def test_a_grown_weight_comes_back_and_its_moments_stay() -> None:
    model = linear([1.0, 2.0, 3.0, 4.0])
    masks = build(model, {})
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    masks.update(10, 2, optimizer)
    assert masks.masks["weight"].tolist() == [[0.0, 0.0, 1.0, 1.0]]
    assert (optimizer.state[model.weight]["momentum_buffer"] == 1.0).all()
    model.weight.data[0, 0] = -9.0
    masks.update(10, 2, optimizer)
    assert masks.masks["weight"].tolist() == [[1.0, 0.0, 0.0, 1.0]]


def test_only_the_average_is_masked() -> None:
    model = linear([1.0, 2.0, 3.0, 4.0])
    masks = build(model, {})
    assert masks.keeps_dense_weights
    masks.update(10, 2, torch.optim.SGD(model.parameters(), lr=1.0))
    average = {"weight": torch.full((1, 4), 7.0)}
    masks.apply(average)
    assert average["weight"].tolist() == [[0.0, 0.0, 7.0, 7.0]]
    assert model.weight.tolist() == [[1.0, 2.0, 3.0, 4.0]]


def test_without_regrowth_nothing_is_swapped() -> None:
    model = linear([1.0, 2.0])
    masks = build(model, None)
    assert not masks.keeps_dense_weights
    before = model.weight.data_ptr()
    with masks.forward_weights():
        assert model.weight.data_ptr() == before


def test_masks_change_until_the_stated_share() -> None:
    masks = build(linear([1.0, 2.0]), {"until": 0.8})
    assert [s for s in range(20) if masks.updates_masks(s, 0)] == list(range(0, 17, 2))
    ramp_only = build(linear([1.0, 2.0]), {})
    assert [s for s in range(20) if ramp_only.updates_masks(s, 0)] == list(range(0, 11, 2))
    one_shot = build(linear([1.0, 2.0]), {"until": 0.5}, shape="one_shot", start=0.25)
    assert [s for s in range(20) if one_shot.updates_masks(s, 0)] == [5, 6, 7, 8, 9, 10]
