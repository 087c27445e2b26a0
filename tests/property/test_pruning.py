"""Zeros stay zero: through optimizers, averaging, a kill and resume, and quantization."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.pruning.settings import Pruning
from sparsespeech.quantization.fake_quantize import weight_integers, weight_scale
from sparsespeech.training.optimizer import WeightAverage

STEPS = 14
OPTIMIZERS = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1, foreach=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.02, momentum=0.5),
}
STRUCTURES: list[dict[str, Any]] = [
    {"kind": "unstructured"},
    {"kind": "bank_balanced", "bank": 4},
    {"kind": "row_cap", "keep": 3, "columns": 8},
    {"kind": "n_of_m", "n": 1, "m": 4},
    {"kind": "block", "rows": 2, "columns": 2},
]
SHAPES: list[dict[str, Any]] = [
    {"shape": "cubic"},
    {"shape": "linear", "initial_sparsity": 0.3},
    {"shape": "threshold"},
    {"shape": "one_shot"},
    {
        "shape": "iterative",
        "stages": [{"sparsity": 0.4, "steps": 3}, {"sparsity": 0.7, "steps": 4}],
    },
]


class TinyRecurrence(nn.Module):
    """A gated matrix, an input matrix and a bias; enough for every scope."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.randn(16, 9) / 3)
        self.weight_hh = nn.Parameter(torch.randn(16, 4) / 2)
        self.bias = nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> Tensor:
        h = (x @ self.weight_ih.T + self.bias).tanh()
        return (h[:, :4] @ self.weight_hh.T).square().sum()


@dataclass
class Run:
    """The parts of a training session that masks meet."""

    model: TinyRecurrence
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    masks: PruningMasks

    @classmethod
    def start(cls, optimizer: str, pruning: dict[str, Any]) -> Run:
        torch.manual_seed(3)
        model = TinyRecurrence()
        section = Pruning.model_validate(
            {"final_sparsity": 0.7, "start": 0.2, "end": 0.7, "exceptions": {}, **pruning}
        )
        masks = PruningMasks.build(
            section, dict(model.named_parameters()), ["weight_ih", "weight_hh"], STEPS, 5
        )
        return cls(
            model, OPTIMIZERS[optimizer](model.parameters()), WeightAverage(model, 0.8), masks
        )

    def step(self, step: int) -> None:
        """One training step in the order of the training loop."""
        epoch = step // 5
        if self.masks.updates_masks(step, epoch):
            self.masks.update(step, epoch, self.optimizer)
            self.masks.apply(self.average.values)
        torch.manual_seed(step)
        self.optimizer.zero_grad()
        with self.masks.forward_weights():
            self.model(torch.randn(3, 9)).backward()
        self.optimizer.step()
        self.average.update(step)
        self.masks.apply(self.average.values)

    def resumed(self, optimizer: str, pruning: dict[str, Any]) -> Run:
        """Another process that goes on from what a checkpoint holds."""
        other = Run.start(optimizer, pruning)
        stored = load(save({n: t.contiguous() for n, t in self.masks.tensors().items()}))
        other.masks.load(stored)
        other.model.load_state_dict(copy.deepcopy(self.model.state_dict()))
        other.average.load({name: t.clone() for name, t in self.average.values.items()})
        other.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        return other


def assert_zeros(run: Run) -> None:
    for name, mask in run.masks.masks.items():
        gone = mask == 0
        average = run.average.values[name]
        assert bool((average[gone] == 0).all())
        if not run.masks.keeps_dense_weights:
            assert bool((run.model.get_parameter(name)[gone] == 0).all())
        for bits, per_row in ((8, False), (8, True), (12, False), (16, True)):
            scale = weight_scale(average, bits=bits, per_row=per_row)
            assert bool((weight_integers(average, scale, bits=bits)[gone] == 0).all())


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape["shape"]))
@given(
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    structure=st.sampled_from(STRUCTURES),
    scope=st.sampled_from(["layer", "gate", "global"]),
    regrows=st.booleans(),
    killed=st.integers(0, STEPS),
)
@settings(max_examples=12)
def test_zeros_stay_zero(
    shape: dict[str, Any],
    optimizer: str,
    structure: dict[str, Any],
    scope: str,
    regrows: bool,
    killed: int,
) -> None:
    pruning = {**shape, "structure": structure, "scope": scope, "updates": 4}
    if regrows and "stages" not in shape:
        pruning["regrowth"] = {"until": 0.8}
    run = Run.start(optimizer, pruning)
    second = run.resumed(optimizer, pruning)
    for step in range(STEPS):
        before = {name: mask.clone() for name, mask in run.masks.masks.items()}
        run.step(step)
        assert_zeros(run)
        if not run.masks.keeps_dense_weights:
            for name, mask in run.masks.masks.items():
                assert bool((mask <= before[name]).all())
        if step < killed:
            second.step(step)
        elif step == killed:
            second = second.resumed(optimizer, pruning)
            for left in range(killed, STEPS):
                second.step(left)
    assert run.masks.sparsity() > 0.3
    if killed < STEPS:
        for mine, other in zip(run.model.parameters(), second.model.parameters(), strict=True):
            assert torch.equal(mine, other)
        for name, mask in run.masks.masks.items():
            assert torch.equal(mask, second.masks.masks[name])
            assert torch.equal(run.average.values[name], second.average.values[name])
