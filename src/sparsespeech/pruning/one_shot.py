"""Prune a checkpoint as it is, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparsespeech.errors import CheckpointError, RecipeError
from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.pruning.settings import Pruning
from sparsespeech.training.checkpoint import (
    find_checkpoint,
    list_checkpoints,
    load_checkpoint,
    read_state,
    save_checkpoint,
)
from sparsespeech.training.weight_matrices import weight_matrices


def prune_checkpoint(checkpoint: Path, settings: Pruning, run: Path) -> Path:
    """Write the checkpoint at ``checkpoint``, pruned to the final sparsity, into ``run``.

    It keeps its step, features and facts, and the folder of the new checkpoint is returned. What
    is pruned are the averaged weights; there are no optimizer moments, so it can be evaluated,
    converted and trained from (``model.initial``), but not resumed. Ranges of fixed-point
    retraining are kept, and with them its bits; ``quantize --recalibrate`` measures the ranges
    anew. Raises CheckpointError and RecipeError.
    """
    if list_checkpoints(run):
        raise CheckpointError(f"{run}: holds checkpoints already; choose another --output")
    if settings.regrowth is not None:
        raise RecipeError(
            "pruning.regrowth: weights regrow while a network trains, and this prunes without "
            "training; leave regrowth out or ask for steps"
        )
    source = load_checkpoint(checkpoint)
    parameters = {name: nn.Parameter(tensor.clone()) for name, tensor in source.weights.items()}
    matrices = list(weight_matrices(source))
    at_once = _at_once(settings)
    masks = PruningMasks.build(at_once, parameters, matrices, steps=1, steps_per_epoch=1)
    masks.update(0, 0, torch.optim.SGD(parameters.values(), lr=0.0))
    average = {name: parameter.detach() for name, parameter in parameters.items()}
    masks.apply({name: tensor.clone() for name, tensor in average.items()})
    tensors = {f"weights.{name}": tensor for name, tensor in average.items()}
    tensors |= {f"average.{name}": tensor.clone() for name, tensor in average.items()}
    tensors |= {f"fixed_point.{name}": tensor for name, tensor in source.fixed_point.items()}
    return save_checkpoint(
        run,
        source.step,
        {**tensors, **masks.tensors()},
        {},
        _state(find_checkpoint(checkpoint), at_once, masks.sparsity()),
        keep=1,
    )


def _at_once(settings: Pruning) -> Pruning:
    """``settings`` without their course, checked anew: the checkpoint's recipe is read again."""
    values = settings.model_dump(mode="json", exclude={"unit", "end", "function", "stages"})
    return Pruning.parse({**values, "shape": "one_shot", "start": 0.0})


def _state(folder: Path, settings: Pruning, sparsity: float) -> dict[str, Any]:
    """``state.json`` of the source with what was done to it."""
    state = {
        key: value
        for key, value in read_state(folder).items()
        if key not in ("format_version", "step", "sha256")
    }
    state["recipe"] = {**state["recipe"], "pruning": settings.model_dump(mode="json")}
    state["progress"] = {**state["progress"], "sparsity": sparsity}
    return state
