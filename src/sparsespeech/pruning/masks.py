"""The masks of a model under training: update, application, bookkeeping.

Zeros stay zero: weights and their average are multiplied by the masks after every optimizer
step, and the optimizer's moments of pruned weights are cleared at every mask update.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.magnitude import magnitude_mask
from sparsespeech.pruning.schedule import SparsitySchedule


class PruningMasks:
    """Masks of the prunable matrices; a matrix without an entry in ``targets`` stays dense."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        targets: Mapping[str, float],
        schedule: SparsitySchedule,
    ) -> None:
        """``targets``: final sparsity by parameter name; masks start as ones."""
        self.schedule = schedule
        self.targets = {name: target for name, target in targets.items() if target > 0}
        self._parameters = {name: parameters[name] for name in self.targets}
        self.masks = {name: torch.ones_like(p.data) for name, p in self._parameters.items()}

    def update(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Recompute all masks for ``step`` and clear the moments of newly pruned weights."""
        for name, parameter in self._parameters.items():
            sparsity = self.schedule.sparsity(step, self.targets[name])
            mask = magnitude_mask(parameter.data, self.masks[name], sparsity)
            self.masks[name] = mask
            for moment in optimizer.state[parameter].values():
                if isinstance(moment, Tensor) and moment.shape == mask.shape:
                    moment.mul_(mask)

    def apply(self, average: Mapping[str, Tensor]) -> None:
        """Multiply parameters and their running average by the masks, in place."""
        if not self.masks:
            return
        weights = [self._parameters[name].data for name in self.masks]
        averages = [average[name] for name in self.masks]
        masks = list(self.masks.values())
        torch._foreach_mul_(weights + averages, masks + masks)

    def sparsity(self) -> float:
        """Share of zeros over all weight matrices that have masks."""
        size = sum(mask.numel() for mask in self.masks.values())
        kept = sum(float(mask.sum()) for mask in self.masks.values())
        return 1.0 - kept / size if size else 0.0


def resolve_targets(
    names: Sequence[str], final: float, exceptions: Mapping[str, float]
) -> dict[str, float]:
    """Final sparsity by name: ``final``, or that of the last regular expression that matches.

    Raises RecipeError for an expression that matches no weight matrix.
    """
    targets = dict.fromkeys(names, final)
    for expression, sparsity in exceptions.items():
        try:
            pattern = re.compile(expression)
        except re.error as error:
            raise RecipeError(
                f"pruning.exceptions: {expression!r} is not a regular expression: {error}"
            ) from None
        matched = [name for name in names if pattern.search(name)]
        if not matched:
            raise RecipeError(
                f"pruning.exceptions: {expression!r} matches no weight matrix; "
                f"the matrices are {', '.join(names)}"
            )
        targets.update(dict.fromkeys(matched, sparsity))
    return targets
