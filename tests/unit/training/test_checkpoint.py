"""Moments of the optimizer; the rest is in ``tests/fuzz/test_bad_checkpoints.py``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sparsespeech.training.checkpoint import optimizer_tensors, restore_optimizer


def stepped() -> tuple[torch.optim.AdamW, dict[Tensor, str]]:
    """An optimizer after one step, and the names of its parameters."""
    parameters = [nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))]
    optimizer = torch.optim.AdamW(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.arange(float(parameter.numel())).reshape(parameter.shape)
    optimizer.step()
    return optimizer, dict(zip(parameters, ("weight", "bias"), strict=True))


def test_moments_come_back() -> None:
    optimizer, names = stepped()
    tensors = {name: tensor.clone() for name, tensor in optimizer_tensors(optimizer, names).items()}
    assert set(tensors) == {
        f"{name}/{moment}"
        for name in ("weight", "bias")
        for moment in ("step", "exp_avg", "exp_avg_sq")
    }
    fresh = torch.optim.AdamW(list(names), lr=0.1)
    restore_optimizer(fresh, names, tensors)
    for name, tensor in optimizer_tensors(fresh, names).items():
        assert torch.equal(tensor, tensors[name]), name


def test_moments_and_step_count_come_back_beside_the_parameter() -> None:
    optimizer, names = stepped()
    tensors = optimizer_tensors(optimizer, names)
    elsewhere = nn.Parameter(torch.ones(3, 2, device="meta"))
    fresh = torch.optim.AdamW([elsewhere], lr=0.1, fused=True)
    of_one = {name: tensor for name, tensor in tensors.items() if name.startswith("weight/")}
    restore_optimizer(fresh, {elsewhere: "weight"}, of_one)
    assert {value.device.type for value in fresh.state[elsewhere].values()} == {"meta"}


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("weight/exp_avg", torch.zeros(2, 3)),
        ("weight/exp_avg_sq", torch.zeros(())),
        ("bias/step", torch.zeros(3)),
        ("other/step", torch.zeros(())),
        ("weight", torch.zeros(3, 2)),
    ],
)
def test_moments_of_another_network_are_refused(name: str, tensor: Tensor) -> None:
    optimizer, names = stepped()
    with pytest.raises((KeyError, ValueError)):
        restore_optimizer(optimizer, names, {name: tensor})
