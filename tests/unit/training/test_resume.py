"""Kill -9 at random moments, saves included: the final weights have the same bits."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsespeech.training.checkpoint import find_checkpoint
from tests.tone_corpus import tiny_recipe, write_corpus

DRIVER = Path(__file__).with_name("resume_driver.py")


def digest(run: Path) -> dict[str, str]:
    folder = find_checkpoint(run)
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == ["model.safetensors", "optimizer.safetensors"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def drive(recipe: Path, run: Path, seed: int, kills: int) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(recipe), str(run), str(seed), str(kills)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["exit"] == 0, done.stderr
    assert len(result["kills"]) >= min(kills, 1)
    return list(result["kills"])


def check(folder: Path, seeds: list[int], kills: int, steps: int) -> int:
    manifest = write_corpus(folder / "corpus", 12)
    recipe = folder / "recipe.json"
    values = tiny_recipe(manifest)
    values["optimizer"]["steps"] = steps
    recipe.write_text(json.dumps(values))
    drive(recipe, folder / "whole", 0, 0)
    expected = digest(folder / "whole")
    happened = 0
    for seed in seeds:
        run = folder / f"killed-{seed}"
        happened += len(drive(recipe, run, seed, kills))
        assert digest(run) == expected
    return happened


def test_three_kills_leave_no_trace(tmp_path: Path) -> None:
    assert check(tmp_path, [1], kills=3, steps=24) == 3


@pytest.mark.slow
def test_thirty_kills_leave_no_trace(tmp_path: Path) -> None:
    assert check(tmp_path, [2, 3, 4], kills=10, steps=60) >= 20
