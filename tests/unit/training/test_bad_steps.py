"""A run meets NaN, exploding gradients and impossible texts, and does what the policy says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import Progress
from torch import Tensor

from sparsespeech.errors import TrainingError
from sparsespeech.training import loop
from sparsespeech.training.checkpoint import list_checkpoints, load_checkpoint
from sparsespeech.training.distributed import average_gradients
from sparsespeech.training.loop import Session, train
from sparsespeech.training.recipe import Recipe, parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus

STEPS = 24
SICK = 5  # utterance


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tones"), 12)


def recipe(manifest: Path, **changes: object) -> Recipe:
    optimizer = {"steps": STEPS, "learning_rate": 0.01, "warmup_steps": 5, "decay_start": 0.7}
    return parse_recipe(tiny_recipe(manifest, optimizer=optimizer, **changes), "test")


def build(recipe: Recipe, folder: Path) -> Session:
    with Progress(disable=True) as progress:
        return Session.build(recipe, folder, progress, 0, 1)


def log_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def sick_utterance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of one utterance are NaN, the rest of the data set is sound."""
    original = loop.load_dataset

    def load(*arguments: Any, **options: Any) -> Any:
        dataset = original(*arguments, **options)
        monkeypatch.setattr(type(dataset), "normalisation", lambda _: (0.0, 1.0), raising=True)
        dataset.utterance_frames(SICK)[2] = np.nan
        return dataset

    mean = np.zeros(26)
    monkeypatch.setattr(loop, "load_dataset", load)
    monkeypatch.setattr(loop, "Normalisation", lambda _mean, _deviation: RealNormalisation(mean))


def RealNormalisation(mean: np.ndarray) -> Any:  # noqa: N802 # stands in for the class
    from sparsespeech.training.batch_loading import Normalisation

    return Normalisation(mean, mean + 10.0)
