"""The network of a recipe, its initial weights and the masks that prune it.

Axis: F coefficients of a frame.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.acoustic_model.lstmp import Lstmp
from sparsespeech.errors import RecipeError
from sparsespeech.graph import Graph, Linear, deepspeech, lstmp, network_difference
from sparsespeech.pruning.masks import PruningMasks
from sparsespeech.pruning.schedule import import_function
from sparsespeech.pruning.settings import Pruning
from sparsespeech.pruning.targets import resolve_targets
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.initial_graph import initial_graph
from sparsespeech.training.recipe import Recipe, expand_path


def build_network(recipe: Recipe, resumed: Graph | None = None) -> DeepSpeech:
    """The network of the recipe with the initial weights of its seed.

    ``resumed`` are the layers of a run that goes on, which needs its ``model.initial`` no more.
    Raises RecipeError where the recipe's pruning does not fit the network.
    """
    torch.manual_seed(recipe.seed)
    features = recipe.feature_config()
    labels = len(recipe.data.symbols) + 1  # the blank
    if recipe.model.architecture == "initial":
        graph = resumed or initial_graph(recipe)
    elif recipe.model.architecture == "lstmp":
        graph = lstmp(
            recipe.model.hidden,
            peephole=recipe.model.peephole,
            bidirectional=recipe.model.bidirectional,
            inputs=features.inputs,
            labels=labels,
        )
    else:
        graph = deepspeech(
            recipe.model.hidden,
            bidirectional=recipe.model.bidirectional,
            inputs=features.inputs,
            labels=labels,
        )
    # Dropout follows the fully connected layers; where there are none, the LSTM layers.
    connected = any(isinstance(layer, Linear) for layer in graph.layers)
    model = (DeepSpeech if connected else Lstmp)(
        graph,
        context=features.context,
        coefficients=features.coefficients,
        dropout=recipe.model.dropout,
    )
    _check_pruning(recipe, model)
    return model


def build_masks(recipe: Recipe, model: DeepSpeech, steps_per_epoch: int) -> PruningMasks | None:
    """All-ones masks with the recipe's schedule and targets; None if it does not prune.

    ``steps_per_epoch`` is what an epoch counts in the settings; raises RecipeError.
    """
    settings = _pruning(recipe)
    if settings is None:
        return None
    return PruningMasks.build(
        settings,
        dict(model.named_parameters()),
        prunable_names(model),
        recipe.optimizer.steps,
        steps_per_epoch,
    )


def _check_pruning(recipe: Recipe, model: DeepSpeech) -> None:
    """Raise RecipeError where the recipe's pruning does not fit ``model``, whatever the data."""
    settings = _pruning(recipe)
    if settings is None:
        return
    weights = {name: parameter.shape for name, parameter in model.named_parameters()}
    resolve_targets(settings, {name: (*weights[name],) for name in prunable_names(model)})
    if settings.function is not None:
        import_function(settings.function)


def _pruning(recipe: Recipe) -> Pruning | None:
    """The recipe's section with the path of its scan expanded."""
    settings = recipe.pruning
    if settings is None or settings.from_sensitivity is None:
        return settings
    path = str(expand_path(settings.from_sensitivity))
    return settings.model_copy(update={"from_sensitivity": path})


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
            f"model.initial: {initial.path} holds another network than the recipe asks for: "
            f"{network_difference(initial.graph, model.graph)}; with model.architecture: initial "
            f"its layers are taken"
        ) from None
    return initial.mean, initial.deviation
