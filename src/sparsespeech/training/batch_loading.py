"""The batch of a step as tensors: normalised, augmented, padded.

Axes: B utterances, T frames, F coefficients, C characters of a batch's texts joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsespeech.training.augmentation import FeatureAugmentation
from sparsespeech.training.batches import BatchPlan
from sparsespeech.training.dataset import SpeechDataset, frames_needed
from sparsespeech.training.recipe import Recipe


@dataclass(frozen=True, eq=False)
class SpeechBatch:
    """Utterances ready for the network and the loss."""

    frames: Tensor  # float32[B, T, F], normalised, 0.0 beyond the lengths
    lengths: Tensor  # int64[B]
    targets: Tensor  # int64[C]
    target_lengths: Tensor  # int64[B]
    numbers: NDArray[np.int64]  # int64[B], places of the utterances in the data set

    @classmethod
    def of(
        cls,
        frames: Sequence[Tensor],
        targets: Sequence[NDArray[np.int64]],
        numbers: NDArray[np.int64],
    ) -> SpeechBatch:
        """B utterances, each normalised frames float32[T, F] and characters int64[C]."""
        return cls(
            nn.utils.rnn.pad_sequence(list(frames), batch_first=True),
            torch.tensor([len(part) for part in frames]),
            torch.from_numpy(np.concatenate(targets)),
            torch.tensor([target.size for target in targets]),
            numbers,
        )

    def to(self, device: torch.device) -> SpeechBatch:
        """The same batch on ``device``."""
        return SpeechBatch(
            self.frames.to(device),
            self.lengths.to(device),
            self.targets.to(device),
            self.target_lengths.to(device),
            self.numbers,
        )


@dataclass(frozen=True, eq=False)
class Normalisation:
    """The global mean and deviation of the features, float64[F] each."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def __call__(self, frames: NDArray[np.float32]) -> Tensor:
        """Normalised frames float32[T, F]."""
        return torch.from_numpy(((frames - self.mean) / self.deviation).astype(np.float32))


@dataclass(frozen=True, eq=False)
class BatchLoader:
    """Makes the batch of each step, a pure function of recipe, data and step."""

    recipe: Recipe
    dataset: SpeechDataset
    plan: BatchPlan
    normalisation: Normalisation
    augmentation: FeatureAugmentation | None
    device: torch.device
    rank: int

    @classmethod
    def build(
        cls,
        recipe: Recipe,
        dataset: SpeechDataset,
        normalisation: Normalisation,
        device: torch.device,
        rank: int,
        workers: int,
    ) -> BatchLoader:
        """The loader of worker ``rank`` with the plan and augmentation of ``recipe``."""
        plan = BatchPlan(
            dataset.lengths,
            dataset.source,
            recipe.data,
            seed=recipe.seed,
            steps=recipe.optimizer.steps,
            workers=workers,
            sorted_first_epoch=recipe.sorts_first_epoch,
        )
        augmentation = None
        if recipe.augmentation is not None:
            augmentation = FeatureAugmentation(
                recipe.augmentation, recipe.feature_config(), normalisation.mean
            )
        return cls(recipe, dataset, plan, normalisation, augmentation, device, rank)

    def load(self, step: int) -> SpeechBatch:
        """The batch of this worker at ``step``."""
        utterances = self.plan.at(step, self.rank).utterances
        parts, targets = [], []
        for place, number in enumerate(utterances):
            target = self.dataset.targets[number]
            frames = self.dataset.utterance_frames(number)
            if self.augmentation is not None and self._augments(step):
                random = np.random.default_rng([self.recipe.seed, step, self.rank, place])
                frames = self.augmentation(frames, frames_needed(target), random)
            parts.append(self.normalisation(frames))
            targets.append(target)
        return SpeechBatch.of(parts, targets, utterances).to(self.device)

    def _augments(self, step: int) -> bool:
        settings = self.recipe.augmentation
        steps = self.recipe.optimizer.steps
        return settings is not None and settings.start <= step < steps * (1 - settings.off_at_end)
