"""The layers of a run whose recipe says ``architecture: initial``: those of its first checkpoint.

So a network of any graph is trained further, an imported one for example, whatever its widths.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sparsespeech.errors import RecipeError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph
from sparsespeech.training.checkpoint import load_checkpoint
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
    initial = load_checkpoint(expand_path(recipe.model.initial))
    if recipe.feature_config() != initial.features:
        raise RecipeError(
            f"model.features: {initial.path} was made for other features; write model.features: "
            f"{changed_features(initial.features)}"
        )
    if tuple(recipe.data.symbols) != initial.labels:
        raise RecipeError(
            f"data.symbols: {recipe.data.symbols!r}, but {initial.path} writes "
            f"{''.join(initial.labels)!r}; write that"
        )
    return initial.graph


def changed_features(features: MfccConfig) -> dict[str, Any]:
    """What ``model.features`` of a recipe must say to get ``features``."""
    defaults = asdict(MfccConfig())
    return {key: value for key, value in asdict(features).items() if value != defaults[key]}
