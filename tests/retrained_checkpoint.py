"""A checkpoint as fixed-point retraining leaves one: random weights, ranges, a recipe of tones."""

from pathlib import Path
from typing import Any

import torch

from sparsespeech.quantization.fixed_point_retraining import FixedPointRetraining
from sparsespeech.quantization.settings import FixedPoint
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from sparsespeech.training.recipe import parse_recipe
from tests.random_checkpoints import (
    random_checkpoint,
    random_frames,
    trained_weights,
    write_checkpoint,
)
from tests.tone_corpus import tiny_recipe


def retrained_checkpoint(
    run: Path, manifest: Path, fixed_point: dict[str, Any], loudness: float = 1.0
) -> Checkpoint:
    """Written into ``run``; the ranges are those of noise of ``loudness`` deviations."""
    source = random_checkpoint(hidden=8, context=2, coefficients=26, labels=5)
    retraining = FixedPointRetraining(build_model(source).train(), FixedPoint(**fixed_point))
    frames = torch.from_numpy(loudness * random_frames(0, 60, 26)).float()[None]
    with torch.no_grad():
        retraining.forward(frames, torch.tensor([60]))
    retraining.freeze()
    optimizer = {"steps": 30, "learning_rate": 0.01, "bfloat16": False}
    recipe = tiny_recipe(manifest, fixed_point=fixed_point, pruning=None, optimizer=optimizer)
    more = trained_weights(source)
    more |= {f"fixed_point.{name}": state for name, state in retraining.tensors().items()}
    dumped = parse_recipe(recipe, "test").model_dump(mode="json")
    return load_checkpoint(write_checkpoint(run, source, dumped, more))
