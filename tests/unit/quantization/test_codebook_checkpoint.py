"""Shared weights in a checkpoint that has been through fixed-point retraining."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import nn

from sparsespeech.cli.main import main
from sparsespeech.errors import CheckpointError
from sparsespeech.model_file.reader import read_model
from sparsespeech.quantization.codebook_checkpoint import SharedCheckpoint, share_checkpoint
from sparsespeech.quantization.codebook_retraining import CodebookRetraining, retraining_speech
from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import parse_recipe
from tests.retrained_checkpoint import retrained_checkpoint
from tests.tone_corpus import write_corpus

VALUES = 4


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 12)


def share(
    checkpoint: Checkpoint, output: Path, retraining: CodebookRetraining | None = None
) -> SharedCheckpoint:
    with Progress(disable=True) as progress:
        return share_checkpoint(
            checkpoint,
            output,
            VALUES,
            initialisation="optimal",
            retraining=retraining,
            features=output / "features",
            progress=progress,
        )


@pytest.mark.parametrize("steps", [0, 2])
def test_ranges_and_bits_reach_the_model_file(
    steps: int, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bits = {"weight_bits": 12, "activation_bits": 16}
    source = retrained_checkpoint(tmp_path / "run", manifest, bits)
    retraining = CodebookRetraining(steps, 0.01) if steps else None
    shared = load_checkpoint(share(source, tmp_path / "shared", retraining).path)
    assert set(shared.fixed_point) == set(source.fixed_point)
    assert all(torch.equal(source.fixed_point[name], t) for name, t in shared.fixed_point.items())
    output = str(tmp_path / "model.safetensors")
    command = ["quantize", str(tmp_path / "shared"), "--manifest", str(manifest)]
    assert main([*command, "--output", output, "--utterances", "2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["weight_bits"], figures["activation_bits"]) == (12, 16)
    assert figures["ranges"] == "fixed-point retraining"
    model = read_model(Path(output))
    for layer in model.layers:
        parts = [layer] if hasattr(layer, "weights") else [layer.forward, layer.backward]
        for part in parts:
            for name in ("weights", "input_weights", "recurrent_weights"):
                if hasattr(part, name):
                    assert np.unique(getattr(part, name).value).size <= VALUES


def test_shared_values_are_retrained_with_the_roundings(manifest: Path, tmp_path: Path) -> None:
    """Ranges far too narrow: with them the loss of the first step is another one."""
    source = retrained_checkpoint(tmp_path / "run", manifest, {}, loudness=0.1)
    start = load_checkpoint(share(source, tmp_path / "start").path)
    losses = share(source, tmp_path / "shared", CodebookRetraining(1, 0.0)).losses
    assert losses is not None
    recipe = parse_recipe(source.facts["recipe"], "test")
    with Progress(disable=True) as progress:
        speech = retraining_speech(source, recipe, 1, tmp_path / "features", progress)
        batch = next(speech.batches)
    model = build_model(start)
    rounded = FixedPointRetraining(model, FixedPoint())
    rounded.load(source.fixed_point)
    expected, plain = (
        nn.functional.ctc_loss(
            network(batch.frames, batch.lengths).detach(),
            batch.targets,
            batch.lengths,
            batch.target_lengths,
            blank=5,
            reduction="sum",
        ).item()
        / int(batch.target_lengths.sum())
        for network in (rounded.forward, model)
    )
    assert abs(plain - expected) > 0.005 * expected
    assert losses[0] == pytest.approx(expected, rel=1e-5)


def test_a_checkpoint_retrained_with_row_scales_is_refused(manifest: Path, tmp_path: Path) -> None:
    source = retrained_checkpoint(tmp_path / "run", manifest, {"per_row": True})
    with pytest.raises(CheckpointError, match=r"fixed_point\.per_row.*compress MODEL --codebook"):
        share(source, tmp_path / "shared")
    assert not (tmp_path / "shared").exists()


def test_shared_weights_get_no_row_scales(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share(retrained_checkpoint(tmp_path / "run", manifest, {}), tmp_path / "shared")
    output = tmp_path / "model.safetensors"
    command = ["quantize", str(tmp_path / "shared"), "--manifest", str(manifest), "--per-row"]
    assert main([*command, "--output", str(output), "--utterances", "2"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "share 4 values" in said and "give --per-matrix" in said
    assert not output.exists()
    command = ["quantize", str(tmp_path / "shared"), "--manifest", str(manifest), "--compare"]
    assert main([*command, "--limit", "1", "--utterances", "2", "--json"]) == 0
    choices = [row["choice"] for row in json.loads(capsys.readouterr().out)["choices"]]
    assert choices == ["float", "int8", "12 bit", "16 bit"]


def test_ranges_of_another_network_are_refused(manifest: Path, tmp_path: Path) -> None:
    source = retrained_checkpoint(tmp_path / "run", manifest, {})
    foreign = {"input": source.fixed_point["input"]}
    with pytest.raises(CheckpointError, match="do not fit the graph"):
        share(
            replace(source, fixed_point=foreign), tmp_path / "shared", CodebookRetraining(1, 0.01)
        )
