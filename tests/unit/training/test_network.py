"""The network of a recipe: what does not fit it is said before any data is read."""

from __future__ import annotations

from typing import Any

import pytest

from sparsespeech.errors import RecipeError, SensitivityError
from sparsespeech.training.network import build_network
from sparsespeech.training.recipe import Recipe, parse_recipe


def recipe(**pruning: Any) -> Recipe:
    source = {"manifest": "nowhere.jsonl"}
    return parse_recipe(
        {
            "name": "test",
            "data": {"train": [source], "development": source},
            "model": {"hidden": 8},
            "optimizer": {"steps": 10, "decay_start": 0.9},
            "pruning": {"final_sparsity": 0.5, **pruning},
        },
        "test",
    )


def test_pruning_that_fits_raises_nothing() -> None:
    assert build_network(recipe()).graph.layers[0].name == "layer1"


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"include": ["("]}, "not a regular expression"),
        ({"exceptions": {"layer9": 0.5}}, "'layer9' matches no weight matrix"),
        ({"shape": "function", "function": "no.such:thing"}, "cannot import 'no.such:thing'"),
        ({"from_sensitivity": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_pruning_that_does_not_fit_is_an_error(pruning: dict[str, Any], message: str) -> None:
    with pytest.raises((RecipeError, SensitivityError), match=message.replace("(", r"\(")):
        build_network(recipe(**pruning))
