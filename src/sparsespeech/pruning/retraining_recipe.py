"""The recipe that prunes a checkpoint while it trains on, made from the checkpoint's own.

Data, features and network stay; pruning, steps and learning rate change. The learning rate goes
back to a large part of its peak: at a fine-tuning rate a network does not recover from pruning.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.settings import DEFAULT_EXCEPTIONS
from sparsespeech.training.recipe import parse_recipe

RATE_SHARE = 2 / 3  # of the peak of the checkpoint's own training
_INITIAL_SPARSITY = 0.5  # of the first mask update of a ramp
_RAMP_END = 0.5  # share of the steps
_DECAY_START = 0.52
_WARMUP_STEPS = 50


@dataclass(frozen=True)
class Retraining:
    """How long and how fast to train; None: from the checkpoint's recipe.

    ``steps`` are half of that recipe's, the learning rate two thirds of its peak. ``stages`` are
    the sparsities of iterative pruning, which share the steps evenly. ``distill`` makes the
    checkpoint the teacher of its pruned self.
    """

    steps: int | None = None
    learning_rate: float | None = None
    stages: tuple[float, ...] = ()
    distill: bool = False


def pruning_section(
    final_sparsity: float,
    shape: str,
    structure: str,
    scope: str,
    exceptions: Mapping[str, float],
    scan: Path | None,
) -> dict[str, Any]:
    """Plain values of the section ``pruning`` of a network that has been trained before.

    ``exceptions`` come after the default ones, so that they win; ``scan`` is a
    ``sensitivity.json`` to take sparsities from.
    """
    defaults = {key: value for key, value in DEFAULT_EXCEPTIONS.items() if key not in exceptions}
    return {
        "final_sparsity": final_sparsity,
        "initial_sparsity": _INITIAL_SPARSITY,
        "start": 0.0,
        "end": _RAMP_END,
        "shape": shape,
        "scope": scope,
        "structure": structure,
        "exceptions": {**defaults, **exceptions},
        "from_sensitivity": str(scan.resolve()) if scan is not None else None,
        "keep_zeros": True,
    }


def names_speech(recipe: Mapping[str, Any]) -> bool:
    """Whether the recipe in a checkpoint can train it on; that of an imported one may not."""
    return "data" in recipe and "optimizer" in recipe


def retraining_recipe(
    checkpoint: Path, recipe: dict[str, Any], pruning: dict[str, Any], retraining: Retraining
) -> dict[str, Any]:
    """Plain values of a recipe that starts from ``checkpoint``, whose own is ``recipe``.

    Raises RecipeError where that names no speech to train on, and for too few steps.
    """
    if not names_speech(recipe):
        raise RecipeError(
            f"{checkpoint}: its recipe names no speech to train on; import the network with "
            f"--train and --development, or prune it with --one-shot --steps 0"
        )
    recipe = parse_recipe(recipe, str(checkpoint)).model_dump(mode="json")
    values = copy.deepcopy(recipe)
    steps, rate = retraining.steps, retraining.learning_rate
    if steps is None:
        steps = max(1, recipe["optimizer"]["steps"] // 2)
    if rate is None:
        rate = RATE_SHARE * recipe["optimizer"]["learning_rate"]
    values["name"] = f"{recipe['name']}-pruned"
    values["model"]["initial"] = str(checkpoint.resolve())
    values["pruning"] = {**pruning, **_stages(retraining.stages, steps)}
    values["optimizer"] |= {
        "steps": steps,
        "learning_rate": rate,
        "warmup_steps": min(_WARMUP_STEPS, steps // 20),
        "decay_start": _DECAY_START,
    }
    if values.get("augmentation"):
        values["augmentation"]["start"] = 0  # the network has learnt to hear already
    # Whatever the checkpoint was trained for besides, this run prunes.
    values["fixed_point"] = None
    values["distillation"] = {"teacher": str(checkpoint.resolve())} if retraining.distill else None
    logging = values.setdefault("logging", {})
    for key in ("checkpoint_every", "evaluate_every"):
        logging[key] = min(logging.get(key, steps), max(1, steps // 4))
    return values


def _stages(sparsities: Sequence[float], steps: int) -> dict[str, Any]:
    """Keys of iterative pruning with stages of equal length, if there are any."""
    if not sparsities:
        return {}
    each = steps // len(sparsities)
    if each < 1:
        raise RecipeError(f"{len(sparsities)} stages need at least as many steps, got {steps}")
    stages = [{"sparsity": sparsity, "steps": each} for sparsity in sparsities]
    return {"shape": "iterative", "stages": stages}
