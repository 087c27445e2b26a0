"""Which weights compete with each other: those of a matrix, of a gate, or of all matrices.

A group is what one threshold prunes. Its parts are row ranges of matrices: the four gates of an
LSTM matrix (rows in the order i, f, g, o) are one part each under scope ``gate``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.magnitude import Weights, kth_smallest, smallest_counts
from sparsespeech.pruning.targets import Target

GATES = ("i", "f", "g", "o")
_LSTM_MATRIX = re.compile(r"weight_(ih|hh)$")


@dataclass(frozen=True)
class Part:
    """Rows ``first`` to before ``after`` of the matrix ``name``."""

    name: str
    first: int
    after: int
    target: Target

    def of(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The rows in the matrix of that name, a view."""
        return tensors[self.name].detach()[self.first : self.after]


@dataclass(frozen=True)
class Group:
    """Parts that one threshold prunes to ``goal`` together; a single part has no bounds."""

    name: str
    parts: tuple[Part, ...]
    goal: float

    def sparsities(
        self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], sparsity: float
    ) -> list[float]:
        """Sparsity of each part when the group's is ``sparsity``.

        The lower bounds grow with the ramp: they hold in full when ``sparsity`` is the goal.
        """
        if len(self.parts) == 1:
            return [sparsity]
        sizes = [part.of(masks).numel() for part in self.parts]
        risen = sparsity / self.goal
        tensors = [
            Weights(
                part.of(weights),
                part.of(masks),
                lowest=round(part.target.minimum * risen * size),
                highest=int(part.target.maximum * size),
            )
            for part, size in zip(self.parts, sizes, strict=True)
        ]
        counts = smallest_counts(tensors, round(sparsity * sum(sizes)))
        return [count / size for count, size in zip(counts, sizes, strict=True)]

    def quantile(self, weights: Mapping[str, Tensor]) -> float:
        """The magnitude that the share ``goal`` of the group's weights does not exceed."""
        magnitudes = torch.cat([part.of(weights).abs().float().flatten() for part in self.parts])
        return kth_smallest(magnitudes, max(1, round(self.goal * magnitudes.numel())))

    def share_below(
        self, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor], threshold: float
    ) -> float:
        """Share of the group's weights that are pruned or smaller than ``threshold``."""
        below, size = 0, 0
        for part in self.parts:
            mask = part.of(masks)
            gone = (mask == 0) | (part.of(weights).abs() < threshold)
            below += int(gone.count_nonzero())
            size += mask.numel()
        return below / size


def pruning_groups(
    targets: Mapping[str, Target], shapes: Mapping[str, tuple[int, int]]
) -> list[Group]:
    """The groups of all matrices with a target; raises RecipeError for a pool without room.

    All matrices of scope ``global`` form one group; its goal is their mean, weighted by size.
    """
    groups, pool = [], []
    for name, target in targets.items():
        rows = shapes[name][0]
        if target.scope == "global":
            pool.append(Part(name, 0, rows, target))
        elif target.scope == "gate" and _LSTM_MATRIX.search(name):
            height = rows // len(GATES)
            for number, gate in enumerate(GATES):
                part = Part(name, number * height, (number + 1) * height, target)
                groups.append(Group(f"{name}/{gate}", (part,), target.sparsity))
        else:
            groups.append(Group(name, (Part(name, 0, rows, target),), target.sparsity))
    if pool:
        groups.append(Group("global", tuple(pool), _pooled_goal(pool, shapes)))
    return groups


def _pooled_goal(pool: Sequence[Part], shapes: Mapping[str, tuple[int, int]]) -> float:
    sizes = [shapes[part.name][0] * shapes[part.name][1] for part in pool]

    def mean(values: Sequence[float]) -> float:
        return sum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes)

    goal = mean([part.target.sparsity for part in pool])
    lowest = mean([part.target.minimum for part in pool])
    highest = mean([part.target.maximum for part in pool])
    if not lowest <= goal <= highest:
        raise RecipeError(
            f"pruning: a global sparsity of {goal:.4g} does not fit between minimum_sparsity and "
            f"maximum_sparsity, which allow {lowest:.4g} to {highest:.4g}"
        )
    return goal
