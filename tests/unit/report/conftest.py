"""What the tests of reports share: a generator, and the checkpoint of a tiny network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.random_checkpoints import random_checkpoint, trained_weights, write_checkpoint


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
    checkpoint = replace(checkpoint, mean=np.ones(26), deviation=np.full(26, 5.0))
    weights = {name: tensor + 1 for name, tensor in trained_weights(checkpoint).items()}
    write_checkpoint(run, checkpoint, {"name": "<script>tiny</script>"}, weights)
    return run
