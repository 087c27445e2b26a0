"""The masks of a model under training: update, application, bookkeeping.

Zeros stay zero: weights and their average are multiplied by the masks after every optimizer
step, and the optimizer's moments of pruned weights are cleared at every mask update. With
regrowth the optimizer's weights stay dense; the average, which is what is kept, is masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.iterative import StageSchedule
from sparsespeech.pruning.regrowth import masked_weights
from sparsespeech.pruning.schedule import (
    NarangRamp,
    PowerRamp,
    Schedule,
    UserRamp,
    import_function,
)
from sparsespeech.pruning.scopes import Group, pruning_groups
from sparsespeech.pruning.settings import Pruning
from sparsespeech.pruning.structures import structured_mask
from sparsespeech.pruning.targets import resolve_targets


class PruningMasks:
    """Masks of the prunable matrices; a matrix without a target stays dense.

    ``masks`` are float tensors of ones and zeros by parameter name.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        groups: Sequence[Group],
        schedule: Schedule | NarangRamp,
        *,
        regrows: bool = False,
    ) -> None:
        """Masks start as ones."""
        self.keeps_dense_weights = regrows
        self._schedule = schedule
        self._groups = groups
        self._parameters = parameters
        names = dict.fromkeys(part.name for group in groups for part in group.parts)
        self.masks = {name: torch.ones_like(parameters[name].data) for name in names}
        self._thresholds: dict[str, Tensor] = {}

    @classmethod
    def build(
        cls,
        settings: Pruning,
        parameters: Mapping[str, nn.Parameter],
        prunable: Sequence[str],
        steps: int,
        steps_per_epoch: int,
    ) -> PruningMasks:
        """The masks of a run of ``steps``, as they are before step 0.

        ``prunable`` names the weight matrices among ``parameters``. Raises RecipeError for
        settings that do not fit the matrices or the run.
        """
        try:
            settings.check_run(steps, steps_per_epoch)
        except ValueError as error:
            raise RecipeError(f"pruning: {error}") from None
        shapes = {name: _shape(parameters[name]) for name in prunable}
        groups = pruning_groups(resolve_targets(settings, shapes), shapes)
        masks = cls(
            parameters,
            groups,
            build_schedule(settings, steps, steps_per_epoch),
            regrows=settings.regrowth is not None,
        )
        if settings.keep_zeros:
            masks.masks = {
                name: (parameters[name].data != 0).to(parameters[name].dtype)
                for name in prunable
                if name in masks.masks or bool((parameters[name].data == 0).any())
            }
        return masks

    def updates_masks(self, step: int, epoch: int) -> bool:
        """True at the steps where :meth:`update` is due, before the step is trained."""
        return self._schedule.updates_masks(step, epoch)

    def update(self, step: int, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        """Recompute all masks for ``step`` and clear the moments of newly pruned weights.

        With regrowth pruned weights may come back, and all moments stay: all weights learn.
        """
        weights = {name: p.detach() for name, p in self._parameters.items()}
        before = self.masks
        if self.keeps_dense_weights:
            before = {name: torch.ones_like(mask) for name, mask in self.masks.items()}
        after = {name: mask.clone() for name, mask in before.items()}
        for group in self._groups:
            sparsity = self._group_sparsity(group, step, epoch, weights, before)
            relaxation = 1.0
            if step < self._schedule.end:
                relaxation = max(1.0, (1.0 - sparsity) / (1.0 - group.goal))
            shares = group.sparsities(weights, before, sparsity)
            for part, share in zip(group.parts, shares, strict=True):
                part.of(after).copy_(
                    structured_mask(
                        part.of(weights),
                        part.of(before),
                        share,
                        part.target.structure,
                        relaxation,
                    )
                )
        self.masks = after
        if not self.keeps_dense_weights:
            self._clear_moments(optimizer)

    def _group_sparsity(
        self,
        group: Group,
        step: int,
        epoch: int,
        weights: Mapping[str, Tensor],
        masks: Mapping[str, Tensor],
    ) -> float:
        if not isinstance(self._schedule, NarangRamp):
            return self._schedule.sparsity(step, epoch, group.goal)
        if group.name not in self._thresholds:
            # The slopes follow from the weights as they are when the ramp begins.
            self._thresholds[group.name] = torch.tensor(group.quantile(weights))
        threshold = float(self._thresholds[group.name]) * self._schedule.threshold(step)
        return group.share_below(weights, masks, threshold)

    def _clear_moments(self, optimizer: torch.optim.Optimizer) -> None:
        for name, mask in self.masks.items():
            for moment in optimizer.state[self._parameters[name]].values():
                if isinstance(moment, Tensor) and moment.shape == mask.shape:
                    moment.mul_(mask)

    def apply(self, average: Mapping[str, Tensor]) -> None:
        """Multiply parameters and their running average by the masks, in place.

        With regrowth only the average: the parameters are the dense weights.
        """
        if not self.masks:
            return
        tensors = [average[name] for name in self.masks]
        masks = list(self.masks.values())
        if not self.keeps_dense_weights:
            tensors = tensors + [self._parameters[name].data for name in self.masks]
            masks = masks + masks
        torch._foreach_mul_(tensors, masks)

    def mask_gradients(self) -> None:
        """Set the gradients of pruned weights to zero, which some kernels compute and some not.

        So the norm that clipping sees is that of the weights that learn. With regrowth all do.
        """
        if self.keeps_dense_weights:
            return
        pairs = [(self._parameters[name].grad, mask) for name, mask in self.masks.items()]
        present = [(gradient, mask) for gradient, mask in pairs if gradient is not None]
        if present:
            gradients, masks = zip(*present, strict=True)
            torch._foreach_mul_(list(gradients), list(masks))

    @contextmanager
    def forward_weights(self) -> Iterator[None]:
        """Inside, the parameters are what the network computes with: forward and backward.

        Without regrowth that is what they are anyway.
        """
        if not self.keeps_dense_weights:
            yield
            return
        with masked_weights(self._parameters, self.masks):
            yield

    def learning_rate_position(self, step: int) -> float:
        """Place in the learning-rate schedule: ``step``, or the rewound one under stages."""
        if not isinstance(self._schedule, StageSchedule):
            return float(step)
        return self._schedule.position(step)

    def sparsity(self) -> float:
        """Share of zeros over all weight matrices that have masks."""
        size = sum(mask.numel() for mask in self.masks.values())
        kept = sum(float(mask.sum(dtype=torch.float64)) for mask in self.masks.values())
        return 1.0 - kept / size if size else 0.0

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs: ``masks.NAME`` (bool) and ``thresholds.GROUP``."""
        masks = {f"masks.{name}": mask > 0 for name, mask in self.masks.items()}
        return {**masks, **{f"thresholds.{name}": t for name, t in self._thresholds.items()}}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up :meth:`tensors` again; other tensors among them are passed over.

        Raises KeyError where the mask of a matrix is missing.
        """
        stored = {
            name: tensors[f"masks.{name}"].to(parameter.device, parameter.dtype)
            for name, parameter in self._parameters.items()
            if name in self.masks or f"masks.{name}" in tensors
        }
        self.masks = stored
        self._thresholds = {
            name.removeprefix("thresholds."): tensor.cpu()
            for name, tensor in tensors.items()
            if name.startswith("thresholds.")
        }


def build_schedule(settings: Pruning, steps: int, steps_per_epoch: int) -> Schedule | NarangRamp:
    """The schedule that ``settings`` describe for a run of ``steps``; raises RecipeError."""
    start, end = settings.ramp(steps, steps_per_epoch)
    until = -1
    if settings.regrowth is not None and settings.regrowth.until is not None:
        until = min(round(settings.regrowth.until * steps), steps - 1)
    # One-shot pruning with regrowth has no ramp: its masks change until ``until``.
    interval = max(1, ((end if end > start else max(end, until)) - start) // settings.updates)
    match settings.shape:
        case "iterative":
            return StageSchedule.build(settings.stages, start, steps, settings.rewind_to)
        case "threshold":
            ramp = settings.threshold
            return NarangRamp(start, end, interval, until, ramp.steepens_at, ramp.steepening)
        case "function":
            name = settings.function or ""
            function = import_function(name)
            return UserRamp(start, end, interval, until, function, name, settings.final_sparsity)
        case "linear":
            return PowerRamp(start, end, interval, until, settings.initial_sparsity, power=1)
        case _:
            return PowerRamp(start, end, interval, until, settings.initial_sparsity)


def _shape(parameter: Tensor) -> tuple[int, int]:
    rows, columns = parameter.shape
    return rows, columns
