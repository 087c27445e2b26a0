"""The recipe that prunes a checkpoint while it trains on, made from the checkpoint's own.

Data, features and network stay; pruning, steps and learning rate change. The learning rate goes
back to a large part of its peak: at a fine-tuning rate a network does not recover from pruning.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech.errors import RecipeError

RATE_SHARE = 2 / 3  # of the peak of the checkpoint's own training
RAMP_END = 0.5  # share of the steps
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


def retraining_recipe(
    checkpoint: Path, recipe: dict[str, Any], pruning: dict[str, Any], retraining: Retraining
) -> dict[str, Any]:
    """Plain values of a recipe that starts from ``checkpoint``, whose own is ``recipe``.

    Raises RecipeError where that names no speech to train on, and for too few steps.
    """
    if "data" not in recipe or "optimizer" not in recipe:
        raise RecipeError(
            f"{checkpoint}: its recipe names no speech to train on; prune it with --one-shot "
            f"--steps 0, or write a recipe for 'sparsespeech train' with model.initial"
        )
    values = copy.deepcopy(recipe)
    steps = retraining.steps or max(1, recipe["optimizer"]["steps"] // 2)
    values["name"] = f"{recipe['name']}-pruned"
    values["model"]["initial"] = str(checkpoint.resolve())
    values["pruning"] = {**pruning, **_stages(retraining.stages, steps)}
    values["optimizer"] |= {
        "steps": steps,
        "learning_rate": retraining.learning_rate
        or RATE_SHARE * recipe["optimizer"]["learning_rate"],
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
