"""AdamW, the learning-rate schedule and the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sparsespeech.training.recipe import Optimizer


def build_optimizer(model: nn.Module, settings: Optimizer) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim != 2]
    return torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=settings.betas,
        fused=True,  # one pass over memory: a quarter of the time of many
    )


def learning_rate(step: float, settings: Optimizer) -> float:
    """Linear warm-up, constant until ``decay_start``, then cosine to the final share.

    ``step`` is a place in the schedule; iterative pruning goes back in it.

    The recipe makes sure that the decay does not begin inside the pruning ramp: a low rate
    there ruins the network.
    """
    warmup = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    decay_start = settings.decay_start * settings.steps
    progress = max(0.0, (step - decay_start) / max(1.0, settings.steps - decay_start))
    lowest = settings.final_learning_rate_share
    cosine = lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return settings.learning_rate * warmup * cosine


class WeightAverage:
    """Exponential moving average of all parameters, used for evaluation and conversion."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """The average starts as a copy of the parameters."""
        self._decay = decay
        self._parameters = dict(model.named_parameters())
        self.values = {name: p.detach().clone() for name, p in self._parameters.items()}

    def update(self, step: int) -> None:
        """Blend in the current weights; early steps use a shorter memory."""
        decay = min(self._decay, (1 + step) / (10 + step))
        current: list[Tensor] = [p.detach() for p in self._parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    @contextmanager
    def as_parameters(self) -> Iterator[None]:
        """Inside, the network holds the averages."""
        current = {name: p.data for name, p in self._parameters.items()}
        try:
            for name, parameter in self._parameters.items():
                parameter.data = self.values[name]
            yield
        finally:
            for name, parameter in self._parameters.items():
                parameter.data = current[name]

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Replace the average, in place."""
        for name, value in values.items():
            self.values[name].copy_(value)
