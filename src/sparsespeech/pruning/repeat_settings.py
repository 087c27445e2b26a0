"""The recipe section ``repeat_until``: scan, prune a little, fine-tune, again (S4, steps 1-3)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sparsespeech.training.recipe_section import Count, RecipeSection, Sparsity

Loss = Annotated[float, Field(ge=0.0)]
OpenShare = Annotated[float, Field(gt=0.0, lt=1.0)]


class RepeatUntil(RecipeSection):
    """Rounds of sensitivity scan, pruning by its suggestion and the recipe's training.

    The first round prunes to ``first_sparsity`` in total; each further one removes the share
    ``step`` of the weights that remain, and the last one ends at ``pruning.final_sparsity``. The
    loop stops when the development WER of a round is more than ``wer_loss`` points above that of
    ``model.initial``, after ``rounds`` rounds, or at the final sparsity. Scans measure
    ``utterances`` of the development set at ``sparsities``; a matrix is pruned to the largest of
    them at most, and no further than ``pruning.exceptions`` allows.
    """

    wer_loss: Loss = 0.5
    first_sparsity: Sparsity = 0.5
    step: OpenShare = 0.4
    rounds: Count = 12
    utterances: Count = 64
    sparsities: Annotated[tuple[OpenShare, ...], Field(min_length=1)] = (
        0.5, 0.7, 0.8, 0.9, 0.95, 0.98,
    )  # fmt: skip

    @model_validator(mode="after")
    def _increasing(self) -> RepeatUntil:
        if list(self.sparsities) != sorted(set(self.sparsities)):
            raise ValueError(f"sparsities must rise, got {list(self.sparsities)}")
        return self

    def target(self, number: int, final: float) -> float:
        """Total sparsity of round ``number`` (from 1), at most ``final``."""
        remaining = (1.0 - self.first_sparsity) * (1.0 - self.step) ** (number - 1)
        return min(round(1.0 - remaining, 4), final)
