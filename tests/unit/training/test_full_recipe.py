"""The recipe of the full-width network: its figures, and a run of it scaled down."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.cli.main import main
from sparsespeech.graph import deepspeech
from sparsespeech.pruning.targets import resolve_targets
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
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


def scaled_recipe(folder: Path, manifest: Path, **changes: dict[str, Any]) -> Path:
    """The recipe for a corpus of tones; ``changes`` go into its sections."""
    values: dict[str, Any] = load_recipe(NAME).model_dump(mode="json")
    for section, keys in {"data": tiny_recipe(manifest)["data"], **changes}.items():
        values[section] |= keys
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(values))
    return recipe


def run_command(*words: str | Path) -> None:
    assert main([str(word) for word in words]) == 0


def assert_same_network(packed: Checkpoint, trained: Checkpoint) -> None:
    assert packed.graph == trained.graph
    assert (packed.features, packed.labels) == (trained.features, trained.labels)
    np.testing.assert_array_equal(packed.mean, trained.mean)
    np.testing.assert_array_equal(packed.deviation, trained.deviation)
    assert packed.weights.keys() == trained.weights.keys()
    for name, weight in trained.weights.items():
        assert torch.equal(packed.weights[name], weight), name


def test_scaled_down_it_trains_prunes_and_packs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the head of the recipe has it, with smaller files for a smaller network."""
    torch.set_num_threads(1)
    recipe = scaled_recipe(
        tmp_path,
        write_corpus(tmp_path / "corpus", 6),
        model={"hidden": 64, "features": {"context": 2}},
        optimizer={"steps": 12, "warmup_steps": 2},
        logging={"checkpoint_every": 12, "evaluate_every": 12, "evaluate_utterances": 2},
    )
    run, packed = tmp_path / "run", tmp_path / "packed"
    run_command("train", recipe, "--output", run, "--threads", "1")
    capsys.readouterr()
    export = ["export", run, "--packed", "--average-only", "--output", packed]
    run_command(*export, "--shard-mib", "0.01", "--json")
    figures = json.loads(capsys.readouterr().out)
    shards = [file.stat().st_size for file in packed.glob("packed-*.safetensors")]
    assert figures["files"] == len(shards) > 1
    assert figures["largest_file"] == max(shards) < 0.01 * 2**20
    assert figures["bytes_packed"] < figures["bytes_dense"] / 8
    checkpoint = load_checkpoint(packed)
    assert_same_network(checkpoint, load_checkpoint(run))
    for name, wanted in (("layer1", 0.85), ("layer2", 0.9614), ("layer6", 0.0)):
        zeros = float((checkpoint.weights[f"{name}.weight"] == 0).float().mean())
        assert zeros == pytest.approx(wanted, abs=0.005), name


@pytest.mark.slow
def test_a_step_at_full_width_fits_the_packed_files(tmp_path: Path) -> None:
    """One step that prunes at once: the size of the files hangs on the zeros alone."""
    recipe = scaled_recipe(
        tmp_path,
        write_corpus(tmp_path / "corpus", 2),
        optimizer={"steps": 1},
        pruning={"shape": "one_shot", "start": 0.0},
        logging={"evaluate_utterances": 1},
    )
    run, packed = tmp_path / "run", tmp_path / "packed"
    try:
        run_command("train", recipe, "--output", run)
        run_command("export", run, "--packed", "--average-only", "--output", packed)
        trained, checkpoint = load_checkpoint(run), load_checkpoint(packed)
    finally:
        shutil.rmtree(run, ignore_errors=True)  # 2 GB
    assert_same_network(checkpoint, trained)
    size = sum(weight.numel() for weight in checkpoint.weights.values())
    nonzeros = sum(int(weight.count_nonzero()) for weight in checkpoint.weights.values())
    assert size == pytest.approx(122.75e6, rel=1e-3)
    assert 1 - nonzeros / size == pytest.approx(0.96, abs=1e-3)
    files = [file.stat().st_size for file in packed.iterdir()]
    assert len(files) > 3  # shards, index and state
    assert max(files) < 16 * 2**20
