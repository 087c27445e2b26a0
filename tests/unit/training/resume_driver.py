"""Train a tiny model in child processes that are killed with SIGKILL, until one gets through.

Run as a script: ``resume_driver.py RECIPE.json RUN SEED KILLS``. The parent imports torch once
and forks a child for each attempt, so that many kills cost little. A child dies either at the
start of a random step or at a random fsync, which is in the middle of saving a checkpoint.
Prints JSON: kinds of the kills that happened.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch

from sparsespeech.training import loop
from sparsespeech.training.checkpoint import find_checkpoint, list_checkpoints
from sparsespeech.training.recipe import parse_recipe


def arm(kind: str, count: int) -> None:
    """Kill this process at the ``count``-th fsync or training step from now."""
    owner, name = (os, "fsync") if kind == "save" else (loop.Session, "train_step")
    original = getattr(owner, name)
    left = [count]

    def counted(*arguments: object) -> object:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)

    setattr(owner, name, counted)


def main() -> None:
    """Kill until KILLS attempts died, then let one finish."""
    values = json.loads(Path(sys.argv[1]).read_text())
    run, seed, wanted = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    recipe = parse_recipe(values, "test")
    random = np.random.default_rng(seed)
    kills: list[str] = []
    while True:
        kind = "save" if len(kills) % 2 else "step"
        count = int(random.integers(2, 9))
        child = os.fork()
        if child == 0:
            if len(kills) < wanted:
                arm(kind, count)
            loop.train(recipe, run, resume=True)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            break
        kills.append(kind)
        for folder in list_checkpoints(run):  # whatever is there is whole
            find_checkpoint(folder)
    print(json.dumps({"exit": os.waitstatus_to_exitcode(status), "kills": kills}))


if __name__ == "__main__":
    main()
