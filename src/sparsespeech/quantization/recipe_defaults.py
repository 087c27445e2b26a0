"""How a checkpoint is quantized where the user leaves it open: as its recipe says, or trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparsespeech.quantization.precision import Precision

if TYPE_CHECKING:
    from sparsespeech.training.checkpoint import Checkpoint

_DEFAULT_UTTERANCES = 100


def calibration_count(source: Checkpoint, utterances: int | None) -> int:
    """Calibration utterances: the option's, else the recipe's, else 100."""
    recipe = source.facts["recipe"].get("quantization") or {}
    return utterances or int(recipe.get("calibration_utterances", _DEFAULT_UTTERANCES))


def checkpoint_precision(
    source: Checkpoint, weight_bits: int | None, activation_bits: int | None, per_row: bool | None
) -> Precision:
    """The options' bits; what they leave open is as the recipe retrained, or as it says."""
    recipe = source.facts["recipe"]
    trained = (recipe.get("fixed_point") or {}) if source.fixed_point else {}
    if per_row is None:
        section = trained or recipe.get("quantization") or {}
        per_row = bool(section.get("per_row", False))
    if weight_bits is None or activation_bits is None:
        weight_bits = int(trained.get("weight_bits", 8))
        activation_bits = int(trained.get("activation_bits", 8))
    return Precision(weight_bits, activation_bits, per_row)
