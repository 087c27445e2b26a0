"""What the tests of reports share: a generator, and the checkpoint of a tiny network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsespeech.training.checkpoint import save_checkpoint
from tests.random_checkpoints import random_checkpoint


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with one checkpoint, whose name in the recipe is hostile."""
    return save_random_run(tmp_path / "run", seed=0)


def save_random_run(run: Path, *, seed: int, hidden: int = 6) -> Path:
    checkpoint = random_checkpoint(
        seed, hidden=hidden, bidirectional=False, context=2, coefficients=26, labels=3
    )
    state = {
        "recipe": {"name": "<script>tiny</script>"},
        "progress": {"hours": 0.1},
        "graph": checkpoint.graph.to_json(),
        "features": checkpoint.features.to_json(),
        "mean": np.ones(26).tolist(),
        "deviation": np.full(26, 5.0).tolist(),
        "labels": list(checkpoint.labels),
    }
    average = {f"average.{name}": tensor for name, tensor in checkpoint.weights.items()}
    weights = {f"weights.{name}": tensor + 1 for name, tensor in checkpoint.weights.items()}
    save_checkpoint(run, 7, average | weights, {}, state, keep=1)
    return run
