"""Distillation: the network also learns the frame posteriors of a frozen checkpoint.

Axes: B utterances, T frames, F coefficients, V labels with the CTC blank last.

The teacher is the own dense network as it was before pruning: a CTC network says its labels at
frames of its own choosing, and only a teacher of the same beginnings says them at the same
frames. It hears the same augmented frames as its pupil.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparsespeech.errors import RecipeError
from sparsespeech.training.batch_loading import Normalisation, SpeechBatch
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.checkpoint_digest import checkpoint_digest
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import Distillation, Recipe, expand_path

CERTAIN_BLANK = 0.99  # teacher's probability from which a frame counts blank_frame_weight times


class Teacher:
    """A checkpoint with averaged weights, in evaluation mode; its weights never change.

    ``digest`` says which checkpoint it is.
    """

    def __init__(self, recipe: Recipe, settings: Distillation, pupil: Normalisation) -> None:
        """Load the checkpoint at ``settings.teacher``; ``pupil`` normalises what it will hear.

        Raises RecipeError where features or symbols differ from the recipe's, CheckpointError.
        """
        checkpoint = load_checkpoint(expand_path(settings.teacher))
        features, symbols = recipe.feature_config(), recipe.data.symbols
        if checkpoint.features != features:
            raise RecipeError(
                f"distillation.teacher: {checkpoint.path} hears {checkpoint.features}, but the "
                f"recipe says {features}; set model.features to the teacher's"
            )
        if "".join(checkpoint.labels) != symbols:
            raise RecipeError(
                f"distillation.teacher: {checkpoint.path} writes "
                f"{''.join(checkpoint.labels)!r}, but data.symbols is {symbols!r}"
            )
        self.settings = settings
        self.digest = checkpoint_digest(checkpoint)
        self._model = build_model(checkpoint).requires_grad_(False)
        # Frames come normalised for the pupil: x_t = x_p * scale + offset.
        scale = pupil.deviation / checkpoint.deviation
        offset = (pupil.mean - checkpoint.mean) / checkpoint.deviation
        self._scale = torch.from_numpy(scale).float()
        self._offset = torch.from_numpy(offset).float()

    @classmethod
    def build(cls, recipe: Recipe, pupil: Normalisation, device: torch.device) -> Teacher | None:
        """The teacher that ``recipe`` names, on ``device``; None if it names none."""
        if recipe.distillation is None:
            return None
        teacher = cls(recipe, recipe.distillation, pupil)
        teacher._model.to(device)
        return teacher

    def log_probabilities(self, batch: SpeechBatch) -> Tensor:
        """What the teacher hears, float32[T, B, V], without gradient."""
        device = batch.frames.device
        valid = _valid(batch).T[..., None]
        frames = torch.where(
            valid, batch.frames * self._scale.to(device) + self._offset.to(device), 0.0
        )
        with torch.no_grad():
            result: Tensor = self._model(frames, batch.lengths)
        return result

    def divergences(self, log_probabilities: Tensor, batch: SpeechBatch) -> Tensor:
        """T^2 KL(teacher || pupil) of each utterance, float32[B], nats summed over its frames.

        ``log_probabilities`` float32[T, B, V] are the pupil's. T^2 keeps the size of the gradient
        at any temperature T.
        """
        teacher = self.log_probabilities(batch)
        weight = _valid(batch).to(teacher.dtype)
        blank = teacher[..., -1].exp() > CERTAIN_BLANK
        weight = torch.where(blank, weight * self.settings.blank_frame_weight, weight)
        temperature = self.settings.temperature
        softened = (teacher / temperature).log_softmax(dim=-1)
        pupil = (log_probabilities / temperature).log_softmax(dim=-1)
        divergence = nn.functional.kl_div(pupil, softened, reduction="none", log_target=True)
        # Padding holds no sound, and may hold anything: a product with 0 would let NaN pass.
        summed = torch.where(weight > 0, divergence.sum(dim=-1) * weight, 0.0)
        return temperature**2 * summed.sum(dim=0)


def _valid(batch: SpeechBatch) -> Tensor:
    """bool[T, B]: real frames of each utterance."""
    frames = torch.arange(batch.frames.shape[1], device=batch.lengths.device)
    return frames[:, None] < batch.lengths
