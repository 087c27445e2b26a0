"""Pruning without training keeps what fixed-point retraining has left in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sparsespeech.cli.main import main
from sparsespeech.pruning.one_shot import prune_checkpoint
from sparsespeech.pruning.settings import Pruning
from sparsespeech.training.checkpoint import load_checkpoint
from tests.retrained_checkpoint import retrained_checkpoint
from tests.tone_corpus import write_corpus


@pytest.mark.parametrize("recalibrate", [False, True])
def test_ranges_and_bits_of_fixed_point_retraining_are_kept(
    recalibrate: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path / "tones", 3)
    bits = {"weight_bits": 16, "activation_bits": 16}
    source = retrained_checkpoint(tmp_path / "run", manifest, bits)
    run = tmp_path / "pruned"
    pruned = load_checkpoint(prune_checkpoint(source.path, Pruning(final_sparsity=0.7), run))
    assert set(pruned.fixed_point) == set(source.fixed_point)
    assert all(torch.equal(source.fixed_point[name], t) for name, t in pruned.fixed_point.items())
    command = ["quantize", str(run), "--manifest", str(manifest), "--utterances", "2", "--json"]
    extra = ["--recalibrate"] if recalibrate else []
    assert main([*command, "--output", str(tmp_path / "model.safetensors"), *extra]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["weight_bits"], figures["activation_bits"]) == (16, 16)
    assert figures["ranges"] == ("calibration" if recalibrate else "fixed-point retraining")
