from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from sparsespeech.acoustic_model.deepspeech import prunable_names
from sparsespeech.cli.main import main
from sparsespeech.quantization.codebook import Codebook, build_codebook
from sparsespeech.quantization.codebook_checkpoint import share_checkpoint
from sparsespeech.quantization.codebook_retraining import (
    CodebookRetraining,
    retrain,
    retraining_speech,
)
from sparsespeech.quantization.shared_weights import SharedWeights
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import parse_recipe
from tests.random_checkpoints import random_checkpoint, trained_weights, write_checkpoint
from tests.tone_corpus import tiny_recipe, write_corpus


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Random weights, half of them pruned, and the recipe of a corpus of tones."""
    folder = tmp_path_factory.mktemp("run")
    manifest = write_corpus(tmp_path_factory.mktemp("tones"), 12)
    source = random_checkpoint(hidden=8, context=2, coefficients=26, labels=5)
    recipe = parse_recipe(tiny_recipe(manifest), "test").model_dump(mode="json")
    return load_checkpoint(write_checkpoint(folder, source, recipe, trained_weights(source)))


def shared_matrix(size: int) -> tuple[nn.Parameter, Codebook, SharedWeights]:
    """A matrix [6, 5] with zeros, and its shared form."""
    random = torch.Generator().manual_seed(1)
    values = torch.randn(6, 5, generator=random)
    values[torch.rand(6, 5, generator=random) < 0.4] = 0.0
    parameter = nn.Parameter(values)
    given = values.numpy()
    codebook = build_codebook(given[given != 0], size)
    return parameter, codebook, SharedWeights({"m": parameter}, {"m": codebook})


def test_each_nonzero_takes_its_nearest_value() -> None:
    before = shared_matrix(30)[0].detach().clone()
    parameter, codebook, _ = shared_matrix(3)
    after = parameter.detach()
    assert torch.equal(before == 0, after == 0)
    for old, new in zip(before[before != 0].tolist(), after[after != 0].tolist(), strict=True):
        nearest = min(codebook.values, key=lambda value: abs(value - old))
        assert new == pytest.approx(nearest, abs=1e-7)


def test_the_gradient_of_a_value_is_the_sum_over_its_weights() -> None:
    parameter, codebook, shared = shared_matrix(3)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    (x @ parameter.T).square().sum().backward()
    shared.take_gradients()
    assert parameter.grad is None
    # The same function written with a gather, differentiated by torch.
    values = torch.tensor(codebook.values, dtype=torch.float32, requires_grad=True)
    pruned = parameter.detach() == 0
    codes = torch.from_numpy(codebook.codes(parameter.detach().numpy()))
    matrix = values[codes].masked_fill(pruned, 0.0)
    (x @ matrix.T).square().sum().backward()
    torch.testing.assert_close(shared.values["m"].grad, values.grad)


def test_moved_values_reach_their_weights() -> None:
    parameter, _, shared = shared_matrix(3)
    before = parameter.detach().clone()
    with torch.no_grad():
        shared.values["m"] += torch.tensor([1.0, 20.0, 300.0])
    shared.write_weights()
    moved = (parameter.detach() - before).round().unique().tolist()
    assert set(moved) <= {0.0, 1.0, 20.0, 300.0}
    assert torch.equal(parameter.detach() == 0, before == 0)
    assert shared.codebooks()["m"].values.tolist() == sorted(shared.values["m"].tolist())


def test_a_matrix_without_gradient_is_left_alone() -> None:
    parameter, _, shared = shared_matrix(3)
    shared.take_gradients()
    assert shared.values["m"].grad is None
    assert parameter.grad is None


def features_of(checkpoint: Checkpoint) -> Path:
    """The folder of the run where ``train`` keeps them."""
    return checkpoint.path.parent.parent / "features"


def retrained(checkpoint: Checkpoint, steps: int, rate: float) -> tuple[Any, list[float]]:
    own = {name: tensor.clone() for name, tensor in checkpoint.weights.items()}
    model = build_model(replace(checkpoint, weights=own))
    names = prunable_names(model)
    codebooks = {
        name: build_codebook(weights[weights != 0], 4)
        for name in names
        for weights in [checkpoint.weights[name].numpy()]
    }
    recipe = parse_recipe(checkpoint.facts["recipe"], "test")
    with Progress(disable=True) as progress:
        speech = retraining_speech(checkpoint, recipe, steps, features_of(checkpoint), progress)
        course = retrain(
            model, codebooks, speech, recipe, CodebookRetraining(steps, rate), progress
        )
    assert not course.incidents
    return model, course.losses


def test_retraining_lowers_the_loss_with_few_values_and_the_same_zeros(
    checkpoint: Checkpoint,
) -> None:
    model, losses = retrained(checkpoint, 25, 0.02)
    assert len(losses) == 25
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])
    for name in prunable_names(model):
        weights = model.get_parameter(name).detach()
        assert torch.equal(weights == 0, checkpoint.weights[name] == 0)
        assert weights[weights != 0].unique().numel() <= 4
    biases = [name for name, p in model.named_parameters() if p.ndim == 1]
    assert any(
        not torch.equal(model.get_parameter(name).detach(), checkpoint.weights[name])
        for name in biases
    )


def test_retraining_is_the_same_each_time(checkpoint: Checkpoint) -> None:
    (first, losses), (second, again) = (retrained(checkpoint, 5, 0.02) for _ in range(2))
    assert losses == again
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_matrix_that_lost_everything_stays_empty(checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights = {**checkpoint.weights, "layer3.weight": torch.zeros(16, 8)}
    with Progress(disable=True) as progress:
        shared = share_checkpoint(
            replace(checkpoint, weights=weights),
            tmp_path / "shared",
            4,
            initialisation="optimal",
            retraining=CodebookRetraining(3, 0.02),
            features=tmp_path / "features",
            progress=progress,
        )
    after = load_checkpoint(shared.path).weights
    assert not after["layer3.weight"].any()
    assert not torch.equal(after["layer3.bias"], checkpoint.weights["layer3.bias"])


def test_batches_begin_shuffled_and_cover_the_corpus(checkpoint: Checkpoint) -> None:
    recipe = parse_recipe(checkpoint.facts["recipe"], "test")
    with Progress(disable=True) as progress:
        speech = retraining_speech(checkpoint, recipe, 9, features_of(checkpoint), progress)
    batches = list(itertools.islice(speech.batches, 9))
    longest = [int(batch.lengths.max()) for batch in batches]
    assert longest != sorted(longest)
    for batch in batches:
        assert batch.frames.shape[:2] == (batch.lengths.numel(), int(batch.lengths.max()))
        assert int(batch.target_lengths.sum()) == batch.targets.numel()
        for row, length in zip(batch.frames, batch.lengths, strict=True):
            assert not row[int(length) :].any()


# ---- the command -----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 3])
def test_checkpoint_to_a_model_with_few_values(
    steps: int, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "shared"
    command = ["compress", str(checkpoint.path), "--codebook", "4", "--output", str(output)]
    assert main([*command, "--retrain-steps", str(steps), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    shared = load_checkpoint(output)
    assert (shared.step, figures["output"]) == (7 + steps, str(shared.path))
    assert (figures["loss_first"] is None) == (steps == 0)
    assert figures["incidents"] == []
    facts = shared.facts["progress"]["codebook"]
    assert (facts["values"], "retraining" in facts) == (4, steps > 0)
    assert shared.facts["progress"]["hours"] == 0.1
    for matrix in figures["matrices"]:
        weights = shared.weights[matrix["name"]]
        assert torch.equal(weights == 0, checkpoint.weights[matrix["name"]] == 0)
        assert matrix["values"] == weights[weights != 0].unique().numel() <= 4
    assert main([*command, "--json"]) == 2
    assert "holds checkpoints already" in capsys.readouterr().err


def test_features_are_kept_in_the_run_else_in_the_output(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    packed = tmp_path / "exports" / "net"
    assert main(["export", str(checkpoint.path), "--packed", "--output", str(packed)]) == 0
    files = sorted(packed.iterdir())
    command = ["compress", "--codebook", "4", "--retrain-steps", "1", "--output"]
    for source, name in ((packed, "alone"), (checkpoint.path, "of-run")):
        assert main([*command, str(tmp_path / name), str(source)]) == 0
    assert sorted(tmp_path.rglob("features*.safetensors")) == [
        *(tmp_path / "alone" / "features").iterdir()
    ]
    assert list(features_of(checkpoint).iterdir())
    assert sorted(packed.iterdir()) == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "exports", "of-run"]


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ([], "needs --codebook"),
        (["--codebook", "4", "--huffman"], "is not Huffman-coded"),
        (["--codebook", "4", "--output", "x.safetensors"], "is a run folder, not a file"),
    ],
)
def test_wrong_options_for_a_checkpoint(
    extra: list[str], error: str, checkpoint: Checkpoint, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = ["compress", str(checkpoint.path), "--output", str(tmp_path / "out"), *extra]
    assert main(command) == 2
    captured = capsys.readouterr().err
    assert error in captured
    assert captured.count("\n") == 1
