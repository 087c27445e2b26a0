"""The network of a recipe, its initial weights and the masks that prune it.

Axis: F coefficients of a frame.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.errors import RecipeError
from sparsespeech.graph import deepspeech
from sparsespeech.pruning.masks import PruningMasks, resolve_targets
from sparsespeech.pruning.schedule import SparsitySchedule
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.recipe import Recipe, expand_path


def build_network(recipe: Recipe) -> DeepSpeech:
    """The network of the recipe with the initial weights of its seed."""
    torch.manual_seed(recipe.seed)
    features = recipe.feature_config()
    graph = deepspeech(
        recipe.model.hidden,
        bidirectional=recipe.model.bidirectional,
        inputs=features.inputs,
        labels=len(recipe.data.symbols) + 1,  # the blank
    )
    return DeepSpeech(
        graph,
        context=features.context,
        coefficients=features.coefficients,
        dropout=recipe.model.dropout,
    )


def build_masks(recipe: Recipe, model: DeepSpeech) -> PruningMasks | None:
    """All-ones masks with the recipe's schedule and targets; None if it does not prune."""
    settings, steps = recipe.pruning, recipe.optimizer.steps
    if settings is None:
        return None
    start, end = settings.ramp(steps)
    schedule = SparsitySchedule(
        start,
        end,
        max(1, (end - start) // settings.updates),
        settings.final_sparsity,
        settings.initial_sparsity,
        settings.shape,
    )
    targets = resolve_targets(prunable_names(model), settings.final_sparsity, settings.exceptions)
    return PruningMasks(dict(model.named_parameters()), targets, schedule)


def load_initial_weights(
    model: DeepSpeech, path: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fill ``model`` from the checkpoint at ``path``; returns its mean and deviation [F].

    Raises RecipeError where the checkpoint holds another network.
    """
    initial = load_checkpoint(expand_path(path))
    try:
        model.load_state_dict(initial.weights)
    except RuntimeError:
        raise RecipeError(
            f"model.initial: {initial.path} holds {initial.graph}, but the recipe "
            f"asks for {model.graph}"
        ) from None
    return initial.mean, initial.deviation
