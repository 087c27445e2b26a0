"""Kill -9 at random moments, mask updates and saves included: the final bits are the same."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsespeech.pruning.one_shot import prune_checkpoint
from sparsespeech.pruning.settings import Pruning
from sparsespeech.training.checkpoint import find_checkpoint, read_tensors
from sparsespeech.training.log_file import read_log
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import parse_recipe
from tests.tone_corpus import tiny_recipe, write_corpus

DRIVER = Path(__file__).with_name("resume_driver.py")
STEPS = 24
RAMP = {"final_sparsity": 0.8, "start": 0.1, "end": 0.7}
OPTIMIZER = {"steps": STEPS, "learning_rate": 0.01, "warmup_steps": 5, "decay_start": 0.7}
FIXED_POINT = {"start": 0.5, "freeze": 0.75}

# The run that is killed. Masks change at steps 4, 7, ..., 28, so in fixed-point retraining too, and
# seldom right after a checkpoint: an update there could hide that the masks were not restored.
KILLED_STEPS = 40
KILLED = {
    "optimizer": {**OPTIMIZER, "steps": KILLED_STEPS},
    "pruning": {**RAMP, "updates": 8},
    "fixed_point": {"start": 0.4, "freeze": 0.75},
    "logging": {
        "checkpoint_every": 4,
        "keep_checkpoints": 2,
        "evaluate_every": 20,
        "evaluate_utterances": 5,
        "log_every": 5,
    },
}
FIRST_PRUNED, LAST_PRUNED, FIRST_ROUNDED = 4, 28, 16
SAVES = ("file", "sync", "rename", "removal")
FIFTY = {"step": 10, "mask": 10, "time": 10, **dict.fromkeys(SAVES, 5)}


def digest(run: Path) -> dict[str, str]:
    folder = find_checkpoint(run)
    files = sorted(folder.glob("*.safetensors"))
    assert [file.name for file in files] == ["model.safetensors", "optimizer.safetensors"]
    return {
        f"{folder.name}/{file.name}": hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def kill_and_compare(folder: Path, seed: int, runs: list[dict[str, int]]) -> list[dict[str, Any]]:
    """Train runs that are killed so often at each kind of moment; the kills (``Kill``)."""
    manifest = write_corpus(folder / "corpus", 12)
    recipe = folder / "recipe.json"
    recipe.write_text(json.dumps(tiny_recipe(manifest, **KILLED)))
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(recipe), str(folder), str(seed), json.dumps(runs)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    check_uninterrupted(folder / "whole", result["calls"])
    expected = digest(folder / "whole")
    for number, run in enumerate(result["runs"]):
        run["differs"] = run["exit"] or digest(folder / f"killed-{number}") != expected
    failed = [
        run
        for run in result["runs"]
        if run["differs"] or any(kill["damaged"] or kill["step"] is None for kill in run["kills"])
    ]
    assert not failed, (
        f"seed {seed}: {len(failed)} of {len(runs)} runs failed:\n"
        + "\n".join(map(str, failed))
        + f"\n{done.stderr}"
    )
    return [kill for run in result["runs"] for kill in run["kills"]]


def check_uninterrupted(run: Path, calls: dict[str, int]) -> None:
    """Or the kills would test less than they say."""
    folder = find_checkpoint(run)
    assert folder.name == f"step-{KILLED_STEPS:08d}"
    tensors = read_tensors(folder, "model")
    assert "fixed_point.input" in tensors
    assert float((tensors["average.layer2.weight"] == 0).float().mean()) > 0.7
    updates = [row for row in read_log(run / "log.jsonl") if "mask_update" in row]
    steps = [row["step"] - 1 for row in updates]
    assert steps == list(range(FIRST_PRUNED, LAST_PRUNED + 1, 3))
    matrices = sum(name.startswith("masks.") for name in tensors)
    assert calls["step"] == KILLED_STEPS
    assert calls["mask"] == matrices * len(steps)
    assert min(calls[kind] for kind in SAVES) > 0, calls


def test_runs_killed_in_a_mask_update_and_in_saves_end_the_same(tmp_path: Path) -> None:
    # The second kill of each run hits a process that has resumed.
    kills = kill_and_compare(tmp_path, 6, [{"mask": 1, "removal": 1}, {"file": 1, "rename": 1}])
    assert all(kill["checkpoint"] > 0 for kill in kills), kills


@pytest.mark.slow
def test_fifty_runs_killed_at_random_moments_end_the_same(tmp_path: Path) -> None:
    kills = kill_and_compare(
        tmp_path, 2, [{kind: 1} for kind, number in FIFTY.items() for _ in range(number)]
    )
    assert Counter(kill["kind"] for kill in kills) == FIFTY
    resumed = [kill for kill in kills if kill["checkpoint"] > 0]
    assert len(resumed) >= 40, kills
    pruning = [kill for kill in resumed if FIRST_PRUNED <= kill["step"] <= LAST_PRUNED]
    rounding = [kill for kill in resumed if kill["step"] >= FIRST_ROUNDED]
    for kind in FIFTY:
        assert sum(kill["kind"] == kind for kill in pruning) >= 1, f"{kind}: {kills}"
        assert sum(kill["kind"] == kind for kill in rounding) >= 1, f"{kind}: {kills}"
    assert sum(kill["kind"] == "mask" for kill in resumed) >= 8, kills
    # Before the rename an older checkpoint is what is left, from it on the new one.
    for kind in ("file", "sync", "rename"):
        assert any(kill["kind"] == kind and kill["checkpoint"] <= kill["step"] for kill in resumed)
    assert any(
        kill["kind"] == "removal" and kill["checkpoint"] == kill["step"] + 1 for kill in resumed
    )


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


def test_zeros_that_are_kept_go_on_to_the_same_bits_before_the_first_update(
    tmp_path: Path,
) -> None:
    """The kernels that skip them sum in another order, so all steps must be computed by those."""
    torch.set_num_threads(1)
    manifest = write_corpus(tmp_path / "corpus", 8)
    train(parse_recipe(tiny_recipe(manifest), "test"), tmp_path / "dense", stop_after=2)
    sparse = prune_checkpoint(tmp_path / "dense", Pruning(final_sparsity=0.9), tmp_path / "sparse")
    values = tiny_recipe(manifest, optimizer=OPTIMIZER)
    values["model"] = {**values["model"], "initial": str(sparse)}
    values["pruning"] = {
        "final_sparsity": 0.95, "shape": "one_shot", "start": 0.8, "keep_zeros": True,
    }  # fmt: skip
    recipe = parse_recipe(values, "test")
    train(recipe, tmp_path / "whole", stop_after=12)
    train(recipe, tmp_path / "halves", stop_after=5)
    train(recipe, tmp_path / "halves", resume=True, stop_after=12)
    assert not [row for row in read_log(tmp_path / "whole/log.jsonl") if "mask_update" in row]
    assert digest(tmp_path / "halves") == digest(tmp_path / "whole")
