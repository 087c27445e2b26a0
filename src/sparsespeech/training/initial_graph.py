"""The layers of a run whose recipe says ``architecture: initial``: those of its first checkpoint.

So a network of any graph is trained further, an imported one for example, whatever its widths.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sparsespeech.errors import CheckpointError, RecipeError, SparseSpeechError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph
from sparsespeech.training.checkpoint import find_checkpoint, read_state
from sparsespeech.training.recipe import Recipe, expand_path


def initial_graph(recipe: Recipe) -> Graph:
    """The graph of ``model.initial``.

    Raises RecipeError where its features or symbols differ from the recipe's, CheckpointError
    where it cannot be read.
    """
    if recipe.model.initial is None:
        raise RecipeError(
            "model.architecture: initial takes the layers of a checkpoint; name it as model.initial"
        )
    folder = find_checkpoint(expand_path(recipe.model.initial))
    state = read_state(folder)
    try:
        graph = Graph.from_json(state["graph"])
        features = MfccConfig.from_json(state["features"])
        labels = list(state["labels"])
    except (KeyError, TypeError, SparseSpeechError) as error:
        raise CheckpointError(f"{folder}: state.json is incomplete or wrong: {error}") from None
    if recipe.feature_config() != features:
        raise RecipeError(
            f"model.features: {folder} was made for other features; write model.features: "
            f"{changed_features(features)}"
        )
    if list(recipe.data.symbols) != labels:
        raise RecipeError(
            f"data.symbols: {recipe.data.symbols!r}, but {folder} writes {''.join(labels)!r}; "
            f"write that"
        )
    return graph


def changed_features(features: MfccConfig) -> dict[str, Any]:
    """What ``model.features`` of a recipe must say to get ``features``."""
    defaults = asdict(MfccConfig())
    return {key: value for key, value in asdict(features).items() if value != defaults[key]}
