"""Two processes under torchrun equal one process that averages the same two batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from torch import Tensor

from sparsespeech.training import session as session_module
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.recipe import parse_recipe
from sparsespeech.training.session import Session
from tests.tone_corpus import tiny_recipe, write_corpus

STEPS = 6


@pytest.mark.slow
def test_two_workers_equal_their_emulation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_corpus(tmp_path / "corpus", 16)
    values = tiny_recipe(manifest, pruning=None)
    values["optimizer"] = {"steps": STEPS, "learning_rate": 0.01, "bfloat16": False}
    values["logging"] = {"checkpoint_every": 3, "evaluate_every": 100}
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--nproc-per-node",
            "2",
            "--standalone",
            "-m",
            "sparsespeech.cli.main",
            "train",
            str(path),
            "--output",
            str(tmp_path / "two"),
            "--threads",
            "1",
        ],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    torch.set_num_threads(1)
    with Progress(disable=True) as progress:
        workers = [
            Session.build(parse_recipe(values, "test"), tmp_path / "one", progress, rank, 2)
            for rank in range(2)
        ]
    first, second = workers
    gradients: list[list[Tensor]] = []

    def keep(parameters: list[Tensor], count: int) -> None:
        """Stand in for the all-reduce: the second worker reports, then the first averages."""
        mine = [p.grad.clone() for p in parameters if p.grad is not None]
        if not gradients:
            gradients.append(mine)
            return
        for parameter, own, other in zip(parameters, mine, gradients.pop(), strict=True):
            assert parameter.grad is not None
            parameter.grad.copy_((own + other) / 2)

    monkeypatch.setattr(session_module, "average_gradients", keep)
    # Nobody's loss is broken, so nothing else goes from worker to worker.
    monkeypatch.setattr(session_module, "sum_over_workers", lambda values, workers: values)
    for step in range(STEPS):
        second.model.load_state_dict(first.model.state_dict())
        second.train_step(step)
        first.train_step(step)
    weights = load_checkpoint(tmp_path / "two").weights
    for name, expected in first.average.values.items():
        torch.testing.assert_close(weights[name], expected, rtol=1e-4, atol=1e-5)
