"""Pruning without training keeps what fixed-point retraining has left in a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsespeech.cli.main import main
from sparsespeech.pruning.one_shot import prune_checkpoint
from sparsespeech.pruning.settings import Pruning
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.recipe import parse_recipe
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


@pytest.mark.parametrize(
    "course",
    [
        {"unit": "epochs", "start": 2.0, "end": 8.0},
        {"shape": "function", "function": "my_courses:half"},
        {"shape": "iterative", "stages": [{"sparsity": 0.7, "steps": 5}]},
    ],
    ids=["epochs", "function", "stages"],
)
def test_the_recipe_of_the_pruned_checkpoint_is_one(course: dict[str, Any], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path / "tones", 3)
    source = retrained_checkpoint(tmp_path / "run", manifest, {})
    settings = Pruning.model_validate({"final_sparsity": 0.7, "scope": "global", **course})
    pruned = load_checkpoint(prune_checkpoint(source.path, settings, tmp_path / "pruned"))
    recipe = parse_recipe(pruned.facts["recipe"], "pruned")
    assert recipe.pruning is not None
    assert (recipe.pruning.shape, recipe.pruning.start) == ("one_shot", 0.0)
    assert (recipe.pruning.scope, recipe.pruning.final_sparsity) == ("global", 0.7)
