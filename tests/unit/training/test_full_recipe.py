"""The recipe of the full-width network: its figures, and a run of it scaled down."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.cli.main import main
from sparsespeech.graph import deepspeech
from sparsespeech.pruning.targets import resolve_targets
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.recipe import load_recipe
from tests.tone_corpus import tiny_recipe, write_corpus

NAME = "deepspeech-full"


@pytest.fixture(scope="module")
def network() -> DeepSpeech:
    recipe = load_recipe(NAME)
    features, labels = recipe.feature_config(), len(recipe.data.symbols) + 1
    graph = deepspeech(
        recipe.model.hidden,
        bidirectional=recipe.model.bidirectional,
        inputs=features.inputs,
        labels=labels,
    )
    with torch.device("meta"):
        return DeepSpeech(graph, context=features.context, coefficients=features.coefficients)


def test_it_is_the_network_of_table_one(network: DeepSpeech) -> None:
    layers = {}
    for name, parameter in network.named_parameters():
        layer = name.partition(".")[0]
        layers[layer] = layers.get(layer, 0) + parameter.numel()
    millions = {layer: round(count / 1e6, 2) for layer, count in layers.items()}
    assert millions == {
        "layer1": 1.01,
        "layer2": 4.2,
        "layer3": 8.39,
        "layer4": 100.70,
        "layer5": 8.39,
        "layer6": 0.06,
    }
    assert round(sum(layers.values()) / 1e6, 2) == 122.75


def test_it_ends_at_96_per_cent(network: DeepSpeech) -> None:
    recipe = load_recipe(NAME)
    assert recipe.pruning is not None
    shapes = {name: tuple(network.get_parameter(name).shape) for name in prunable_names(network)}
    targets = resolve_targets(recipe.pruning, shapes)
    pruned = sum(
        rows * columns * targets[name].sparsity
        for name, (rows, columns) in shapes.items()
        if name in targets
    )
    size = sum(parameter.numel() for parameter in network.parameters())
    assert pruned / size == pytest.approx(0.96, abs=5e-4)


def test_it_names_at_least_a_hundred_hours() -> None:
    sources = [source.manifest for source in load_recipe(NAME).data.train]
    assert "$MANIFESTS/synth-100h/manifest.jsonl" in sources
    real = [source.manifest for source in load_recipe("english-small").data.train]
    assert set(real) - set(sources) == {"$MANIFESTS/synth-train/manifest.jsonl"}


def test_scaled_down_it_trains_prunes_and_packs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path / "corpus", 12)
    values: dict[str, Any] = load_recipe(NAME).model_dump(mode="json")
    tiny = tiny_recipe(manifest)
    values["data"] |= tiny["data"]
    values["model"] |= {"hidden": 16, "features": {"context": 2}}
    values["optimizer"] |= {"steps": 25, "warmup_steps": 5}
    values["logging"] |= {"checkpoint_every": 25, "evaluate_every": 25, "log_every": 25}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    run, packed = tmp_path / "run", tmp_path / "packed"
    assert main(["train", str(recipe), "--output", str(run), "--threads", "1"]) == 0
    capsys.readouterr()
    assert main(["export", str(run), "--packed", "--output", str(packed), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    # At this size the two JSON files weigh as much as the weights.
    assert figures["bytes_packed"] < figures["bytes_dense"] / 3
    weights = load_checkpoint(packed).weights
    for name, wanted in (("layer1", 0.85), ("layer2", 0.9614), ("layer6", 0.0)):
        zeros = float((weights[f"{name}.weight"] == 0).float().mean())
        assert zeros == pytest.approx(wanted, abs=0.005), name
