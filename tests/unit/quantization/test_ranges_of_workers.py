"""Workers under torchrun learn the same ranges as one process with all their utterances."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file
from torch import nn

from sparsespeech.quantization.observers import MovingAverageObserver
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.distributed import rows_of_all_workers
from sparsespeech.training.recipe import parse_recipe
from sparsespeech.training.session import Session
from tests.tone_corpus import tiny_recipe, write_corpus
from tests.unit.quantization import workers_driver

STEPS = 6


def two_workers(*command: str) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    paths = [str(Path(__file__).parents[3]), *sys.path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, *launcher, *command], check=True, env=environment)


def test_without_a_process_group_there_are_no_other_rows() -> None:
    rows = torch.randn(3, 2)
    assert torch.equal(rows_of_all_workers(rows), rows)


@pytest.mark.slow
def test_two_workers_observe_as_one_process_would(tmp_path: Path) -> None:
    two_workers(str(Path(workers_driver.__file__)), str(tmp_path))
    first, second = (load_file(tmp_path / f"ranges-{rank}.safetensors") for rank in range(2))
    sample = workers_driver.sample()
    alone = workers_driver.retraining()
    with torch.no_grad():
        frames = nn.utils.rnn.pad_sequence(sample, batch_first=True)
        alone.forward(frames, torch.tensor(workers_driver.FRAMES))
    expected = alone.tensors()
    assert set(first) == set(expected)
    for name, state in expected.items():
        assert torch.equal(first[name], second[name]), name
        # Products of other shapes may differ in their last bits.
        torch.testing.assert_close(first[name], state, rtol=1e-6, atol=1e-6)
    assert torch.equal(first["input"], expected["input"])
    # A frame that is not finite at one worker stops both at the same place, and moves nothing.
    said = [json.loads((tmp_path / f"said-{rank}.json").read_text()) for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("input: an activation is not finite")
    for rank in range(2):
        undone = load_file(tmp_path / f"undone-{rank}.safetensors")
        assert all(torch.equal(undone[name], state) for name, state in first.items())


@pytest.mark.slow
def test_the_ranges_of_a_run_hold_the_utterances_of_all_workers(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path / "corpus", 16)
    values = tiny_recipe(
        manifest,
        pruning=None,
        optimizer={"steps": STEPS, "learning_rate": 0.01, "bfloat16": False},
        logging={"checkpoint_every": 3, "evaluate_every": 100},
        fixed_point={"start": 0.2, "freeze": 0.8},
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values))  # JSON is YAML
    output = str(tmp_path / "two")
    two_workers("-m", "sparsespeech.cli.main", "train", str(path), "--output", output)

    recipe = parse_recipe(values, "test")
    assert recipe.fixed_point is not None
    learnt = range(*recipe.fixed_point.first_steps(STEPS))
    with Progress(disable=True) as progress:
        loaders = [
            Session.build(recipe, tmp_path / "one", progress, rank, 2).loader for rank in range(2)
        ]
    expected = MovingAverageObserver()
    for step in learnt:
        for loader in loaders:
            batch = loader.load(step)
            for frames, length in zip(batch.frames, batch.lengths, strict=True):
                expected.observe(frames[:length])
    ranges = load_checkpoint(tmp_path / "two").fixed_point
    assert torch.equal(ranges["input"][:4], expected.state())
    assert {int(state[3]) for state in ranges.values()} == {expected.count}
