"""The projected LSTM network of the ESE deck: shapes, training by a recipe, inference."""

import json
from pathlib import Path

import pytest
import torch

from sparsespeech.acoustic_model.deepspeech import DeepSpeech, prunable_names
from sparsespeech.acoustic_model.lstmp import Lstmp
from sparsespeech.graph import Lstm, lstmp
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.loop import train
from sparsespeech.training.network import build_network
from sparsespeech.training.recipe import parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus


def test_the_shapes_of_the_ese_deck() -> None:
    graph = lstmp(peephole=True)
    layers = [layer for layer in graph.layers if isinstance(layer, Lstm)]
    assert [(layer.inputs, layer.cells, layer.projection) for layer in layers] == [
        (153, 2048, 1024),
        (1024, 2048, 1024),
        (1024, 2048, 1024),
    ]
    assert not graph.bidirectional
    with torch.device("meta"):
        model = Lstmp(graph, context=4, coefficients=17)
    first, second = (
        sum(p.numel() for p in model.get_submodule(name).parameters())
        for name in ("layer1", "layer2")
    )
    assert first == 4 * 2048 * (153 + 1024 + 2) + 1024 * 2048 + 3 * 2048
    assert second == 4 * 2048 * (1024 + 1024 + 2) + 1024 * 2048 + 3 * 2048


def test_two_directions_double_what_follows() -> None:
    graph = lstmp(8, projection=3, bidirectional=True, inputs=5, labels=4)
    assert [layer.inputs for layer in graph.layers] == [5, 6, 6, 6]
    model = Lstmp(graph, context=0, coefficients=5)
    assert model(torch.randn(2, 7, 5), torch.tensor([7, 4])).shape == (7, 2, 4)


def test_matrices_are_prunable_and_peepholes_are_not() -> None:
    graph = lstmp(8, peephole=True, inputs=5)
    names = prunable_names(Lstmp(graph, context=0, coefficients=5))
    assert "layer2.directions.0.weight_projection" in names
    assert not any("peephole" in name for name in names)
    assert len(names) == 3 * 3 + 1


def test_inference_is_that_of_the_plain_chain() -> None:
    """Checkpoints are loaded as a chain of layers, whatever their architecture was."""
    torch.manual_seed(0)
    graph = lstmp(8, peephole=True, inputs=15)
    model = Lstmp(graph, context=1, coefficients=5, dropout=0.5).eval()
    chain = DeepSpeech(graph, context=1, coefficients=5).eval()
    chain.load_state_dict(model.state_dict())
    frames, lengths = torch.randn(2, 9, 5), torch.tensor([9, 9])
    assert torch.equal(model(frames, lengths), chain(frames, lengths))
    model.train()
    assert not torch.equal(model(frames, lengths), chain(frames, lengths))


def test_a_recipe_builds_the_ese_network(tmp_path: Path) -> None:
    model = {
        "architecture": "lstmp",
        "hidden": 32,
        "bidirectional": False,
        "peephole": True,
        "features": {"coefficients": 17, "context": 4},
    }
    recipe = parse_recipe(tiny_recipe(tmp_path / "none.jsonl", model=model), "test")
    network = build_network(recipe)
    assert isinstance(network, Lstmp)
    assert network.graph == lstmp(32, peephole=True, inputs=153, labels=6)


def test_a_recipe_trains_it(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = parse_recipe(
        tiny_recipe(
            write_corpus(tmp_path / "tones", 8),
            model={
                "architecture": "lstmp",
                "hidden": 24,
                "bidirectional": False,
                "peephole": True,
                "dropout": 0.0,
                "features": {"context": 2},
            },
            augmentation=None,
            pruning={
                "final_sparsity": 0.5,
                "start": 0.6,
                "end": 0.8,
                "updates": 5,
                "exceptions": {r"^layer4\.": 0.0},
            },
            optimizer={
                "steps": 30,
                "learning_rate": 0.01,
                "warmup_steps": 5,
                "decay_start": 0.8,
                "average_decay": 0.9,
            },
            logging={"log_every": 5, "evaluate_every": 30, "checkpoint_every": 30},
        ),
        "test",
    )
    train(recipe, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in log if "loss" in row]
    assert losses[-1] < 0.7 * losses[0]
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.graph == lstmp(24, peephole=True, inputs=5 * 26, labels=6)
    model = build_model(checkpoint)
    projection = model.get_parameter("layer2.directions.0.weight_projection")
    assert float((projection == 0).float().mean()) == pytest.approx(0.5, abs=0.01)
    peephole = model.get_parameter("layer1.directions.0.peephole")
    assert float(peephole.detach().abs().min()) > 0.0  # they begin at zero and are never pruned
