"""Kill -9 at random moments, mask updates and saves included: the final bits are the same."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparsespeech.training.checkpoint import find_checkpoint, read_tensors
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus

DRIVER = Path(__file__).with_name("resume_driver.py")
STEPS = 24
RAMP = {"final_sparsity": 0.8, "start": 0.1, "end": 0.7}
OPTIMIZER = {"steps": STEPS, "learning_rate": 0.01, "warmup_steps": 5, "decay_start": 0.7}
FIXED_POINT = {"start": 0.5, "freeze": 0.75}


def digest(run: Path) -> dict[str, str]:
    folder = find_checkpoint(run)
    assert folder.name == f"step-{STEPS:08d}"
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == ["model.safetensors", "optimizer.safetensors"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def kill_and_compare(folder: Path, *, seed: int, runs: int, kills: int) -> list[str]:
    """Train ``runs`` runs that die ``kills`` times each; the kinds of the kills."""
    manifest = write_corpus(folder / "corpus", 12)
    recipe = folder / "recipe.json"
    recipe.write_text(
        json.dumps(
            tiny_recipe(
                manifest,
                optimizer=OPTIMIZER,
                pruning={**RAMP, "updates": 8},
                fixed_point=FIXED_POINT,
            )
        )
    )
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(recipe), str(folder), str(seed), str(runs), str(kills)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["exit"] == 0, done.stderr
    expected = digest(folder / "whole")
    tensors = read_tensors(find_checkpoint(folder / "whole"), "model")
    assert "fixed_point.input" in tensors  # or this would have tested less than it says
    assert float((tensors["average.layer2.weight"] == 0).float().mean()) > 0.7
    for number in range(runs):
        assert digest(folder / f"killed-{number}") == expected, number
    return list(result["kills"])


def test_kills_in_a_step_a_save_and_a_mask_update_leave_no_trace(tmp_path: Path) -> None:
    assert kill_and_compare(tmp_path, seed=1, runs=1, kills=3) == ["step", "save", "mask"]


@pytest.mark.slow
def test_fifty_runs_killed_at_random_moments_leave_no_trace(tmp_path: Path) -> None:
    kinds = kill_and_compare(tmp_path, seed=2, runs=50, kills=1)
    assert len(kinds) == 50
    assert min(kinds.count(kind) for kind in ("step", "save", "mask", "time")) >= 12


@pytest.mark.parametrize(
    "changes",
    [
        {"pruning": {**RAMP, "updates": 8, "regrowth": {"until": 0.9}}},
        {"pruning": {**RAMP, "updates": 8, "shape": "threshold", "scope": "global"}},
        {
            "pruning": {
                "final_sparsity": 0.8,
                "start": 0.2,
                "shape": "iterative",
                "stages": [{"sparsity": 0.5, "steps": 8}, {"sparsity": 0.8, "steps": 9}],
                "rewind_to": 0.3,
            }
        },
        {"distillation": {"teacher": "", "weight": 0.5, "blank_frame_weight": 0.1}},
    ],
    ids=["regrowth", "threshold", "iterative", "distillation"],
)
def test_every_option_goes_on_to_the_same_bits(changes: dict[str, dict], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path / "corpus", 8)
    values = tiny_recipe(manifest, optimizer=OPTIMIZER, fixed_point=FIXED_POINT)
    if "distillation" in changes:
        plain = parse_recipe(tiny_recipe(manifest), "test")
        teacher = train(plain, tmp_path / "teacher", stop_after=2)
        changes = {"distillation": {**changes["distillation"], "teacher": str(teacher)}}
    recipe = parse_recipe({**values, **changes}, "test")
    train(recipe, tmp_path / "whole")
    train(recipe, tmp_path / "halves", stop_after=15)  # ranges are there, the ramp goes on
    train(recipe, tmp_path / "halves", resume=True)
    assert digest(tmp_path / "halves") == digest(tmp_path / "whole")
