"""The network of a recipe: what does not fit it is said before any data is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.errors import RecipeError, SensitivityError
from sparsespeech.training.checkpoint import save_checkpoint
from sparsespeech.training.network import build_network, load_initial_weights
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


def save(folder: Path, network: DeepSpeech, values: dict[str, Any]) -> None:
    """A run of the recipe ``values`` with the weights of ``network``."""
    state = {
        "recipe": values,
        "progress": {},
        "graph": network.graph.to_json(),
        "features": recipe().feature_config().to_json(),
        "mean": [0.0] * network.coefficients,
        "deviation": [1.0] * network.coefficients,
        "labels": list(values["data"]["symbols"]),
    }
    average = {f"average.{name}": tensor for name, tensor in network.state_dict().items()}
    save_checkpoint(folder, 0, average, {}, state, keep=1)


def test_initial_weights_of_another_network_are_refused_in_a_few_words(tmp_path: Path) -> None:
    values = recipe(exceptions={}).model_dump(mode="json")
    source = build_network(parse_recipe(values, "source"))
    save(tmp_path / "run", source, values)
    load_initial_weights(source, str(tmp_path / "run"))
    values["model"]["hidden"] = 4
    other = build_network(parse_recipe(values, "test"))
    with pytest.raises(RecipeError, match="outputs of layer1 is 8, not 4") as refusal:
        load_initial_weights(other, str(tmp_path / "run"))
    assert str(tmp_path / "run") in str(refusal.value)
    assert "Graph(" not in str(refusal.value)


@pytest.mark.parametrize("architecture", ["deepspeech", "lstmp"])
def test_the_layers_of_a_checkpoint_have_the_dropout_of_their_architecture(
    architecture: str, tmp_path: Path
) -> None:
    values = recipe(exceptions={}).model_dump(mode="json")
    values["model"] |= {"architecture": architecture, "dropout": 0.5}
    source = build_network(parse_recipe(values, "source"))
    save(tmp_path, source, values)
    values["model"] |= {"architecture": "initial", "initial": str(tmp_path)}
    model = build_network(parse_recipe(values, "test"))
    model.load_state_dict(source.state_dict())
    frames, lengths = torch.randn(2, 6, source.coefficients), torch.tensor([6, 6])
    for network in (source, model):
        network.train()
    outputs = []
    for network, seed in ((source, 1), (model, 1), (model, 2)):
        torch.manual_seed(seed)
        outputs.append(network(frames, lengths))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[1], outputs[2])
