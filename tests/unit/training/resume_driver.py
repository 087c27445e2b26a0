"""Train a tiny model in child processes that die of SIGKILL, until one gets through.

Run as a script: ``resume_driver.py RECIPE.json FOLDER SEED RUNS KILLS``. The parent imports torch
once and forks a child for each attempt, so that many kills cost little. First ``FOLDER/whole`` is
trained without a kill; then each of ``FOLDER/killed-0``, ... is killed KILLS times and goes on
after each. A child dies at the start of a random step, at a random fsync, which is in the middle
of saving a checkpoint, between two matrices of a random mask update, or at a random time. Prints
JSON: exit status of the last child and kinds of the kills that happened.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from sparsespeech.pruning import masks
from sparsespeech.training.checkpoint import find_checkpoint, list_checkpoints
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, parse_recipe
from sparsespeech.training.session import Session

# What to count calls of, and the largest count that a run of 24 steps surely reaches.
PLACES = {
    "step": (Session, "train_step", 9),
    "save": (os, "fsync", 9),
    "mask": (masks, "structured_mask", 14),
}
KINDS = [*PLACES, "time"]


def arm(kind: str, count: int) -> None:
    """Kill this process at the ``count``-th call of what ``kind`` stands for."""
    owner, name, _ = PLACES[kind]
    original = getattr(owner, name)
    left = [count]

    def counted(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(owner, name, counted)


def attempt(recipe: Recipe, run: Path, kind: str | None, count: int, seconds: float) -> int:
    """Train in a child; its wait status."""
    child = os.fork()
    if child == 0:
        if kind in PLACES:
            arm(str(kind), count)
        train(recipe, run, resume=True)
        os._exit(0)
    if kind == "time":
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def main() -> None:
    """Kill until enough attempts died, then let one finish; run after run."""
    values = json.loads(Path(sys.argv[1]).read_text())
    folder, (seed, runs, wanted) = Path(sys.argv[2]), (int(word) for word in sys.argv[3:])
    torch.set_num_threads(1)
    recipe = parse_recipe(values, "test")
    random = np.random.default_rng(seed)
    begin = time.monotonic()
    statuses = [attempt(recipe, folder / "whole", None, 0, 0.0)]
    whole_run_s = time.monotonic() - begin
    kills: list[str] = []
    for number in range(runs):
        run, died = folder / f"killed-{number}", 0
        while True:
            kind = KINDS[len(kills) % len(KINDS)] if died < wanted else None
            count = int(random.integers(1, PLACES[kind][2])) if kind in PLACES else 0
            status = attempt(recipe, run, kind, count, float(random.uniform(0.05, whole_run_s)))
            if kind == "time" and not os.WIFSIGNALED(status):
                # The clock struck after the end: the machine is faster now than in the whole run.
                shutil.rmtree(run)
                whole_run_s *= 0.7
                died = 0
                continue
            if not os.WIFSIGNALED(status):
                break
            kills.append(str(kind))
            died += 1
            for checkpoint in list_checkpoints(run):  # whatever is there is whole
                find_checkpoint(checkpoint)
        statuses.append(status)
    exit_status = max(os.waitstatus_to_exitcode(status) for status in statuses)
    print(json.dumps({"exit": exit_status, "kills": kills}))


if __name__ == "__main__":
    main()
