"""Train a tiny model in child processes that die of SIGKILL, and go on until it is trained.

Run as a script: ``resume_driver.py RECIPE.json FOLDER SEED RUNS``. First ``FOLDER/whole`` is
trained without a kill, and the calls of all PLACES are counted. RUNS, JSON, is a list of runs, each
an object of kinds and numbers of kills: {"mask": 2, "time": 1}. ``FOLDER/killed-N`` is killed that
often, earliest first, and goes on after each kill. All calls of a kind in the uninterrupted run
are divided into as many equal parts as it has kills, and each kill falls into one at random.

A ``file`` is half written when the child dies, and every other call is about to happen; ``time``
is a random time in a random step, or in what comes before the first. Prints JSON: the number of
calls of each kind, and of each run the exit status and the kills; see ``Kill``. The parent imports
once and forks a child for each attempt, so that many kills cost little.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparsespeech.errors import CheckpointError
from sparsespeech.pruning import masks
from sparsespeech.training import checkpoint
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, parse_recipe
from sparsespeech.training.session import Session

PLACES: dict[str, list[tuple[Any, str]]] = {
    "step": [(Session, "train_step")],
    "mask": [(masks, "structured_mask")],
    "file": [(checkpoint, "save_file"), (Path, "write_text")],
    "sync": [(os, "fsync")],
    "rename": [(Path, "rename")],
    "removal": [(os, "unlink"), (os, "rmdir")],
}
SAVING = ("file", "sync", "rename", "removal")  # other files are written too: not counted
BEFORE_STEPS = -1
# Shared with the children, so that it is known of a dead one: the step it was in.
PROGRESS = np.frombuffer(mmap.mmap(-1, 8), dtype=np.int64)


@dataclass
class Kill:
    """One death: at call ``count`` of the uninterrupted run, counted from 1.

    ``step`` is where it really was (None: it did not happen), ``checkpoint`` the step of the newest
    whole checkpoint then (0: none), ``damaged`` what is wrong with checkpoints that are not whole.
    """

    kind: str
    count: int
    step: int | None = None
    checkpoint: int = 0
    damaged: str = ""


def watch(kind: str | None, count: int) -> dict[str, list[int]]:
    """Die at the ``count``-th call of ``kind``. The steps of the calls, a list that grows."""
    calls: dict[str, list[int]] = {name: [] for name in PLACES}
    saves: list[bool] = []  # not empty inside save_checkpoint
    save, prune = checkpoint.save_checkpoint, Session.prune

    def counted(place: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if place in SAVING and not saves:
                return original(*arguments, **options)
            calls[place].append(int(PROGRESS[0]))
            if place == kind and len(calls[place]) >= count:
                if place == "file":
                    original(*arguments, **options)
                    path = next(value for value in arguments if isinstance(value, Path))
                    os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **options)

        return call

    def noted_save(*arguments: Any) -> Path:
        saves.append(True)
        path = save(*arguments)
        saves.pop()
        return path

    def noted_prune(session: Session, step: int) -> int | None:  # the first thing a step does
        PROGRESS[0] = step
        return prune(session, step)

    for place, functions in PLACES.items():
        for owner, name in functions:
            setattr(owner, name, counted(place, getattr(owner, name)))
    checkpoint.save_checkpoint, Session.prune = noted_save, noted_prune
    return calls


def start(recipe: Recipe, run: Path, kind: str | None = None, count: int = 0) -> int:
    """Train in a child, which dies at a call or writes down its calls at the end; its number."""
    PROGRESS[0] = BEFORE_STEPS
    child = os.fork()
    if child == 0:
        calls = watch(kind, count)
        train(recipe, run, resume=True)
        run.with_suffix(".calls.json").write_text(json.dumps(calls))
        os._exit(0)
    return child


def kill_in_step(child: int, step: int, seconds: float) -> int:
    """Kill ``child`` ``seconds`` after it began ``step``; its wait status."""
    while PROGRESS[0] < step:
        time.sleep(0.001)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def inspect(run: Path, kill: Kill) -> None:
    """Note what the child left behind. Whatever looks like a checkpoint must be a whole one."""
    kill.step, kill.checkpoint, kill.damaged = int(PROGRESS[0]), 0, ""
    for folder in sorted((run / checkpoint.CHECKPOINTS).glob("step-*")):
        try:
            for name in ("model", "optimizer"):
                checkpoint.read_tensors(folder, name)
            kill.checkpoint = int(folder.name.removeprefix("step-"))
        except CheckpointError as error:
            kill.damaged += f"{error}\n"


def kill_run(
    recipe: Recipe, run: Path, kills: list[Kill], calls: dict[str, list[int]], delay: float
) -> int | None:
    """Kill a run, fill in ``kills``, finish it: its exit status. None if a kill came too late."""
    for number, kill in enumerate(kills):
        first = kills[number - 1].checkpoint if number else 0  # where this attempt goes on
        if kill.kind == "time":
            status = kill_in_step(start(recipe, run), calls["time"][kill.count - 1], delay)
        else:
            already = sum(step < first for step in calls[kill.kind])
            child = start(recipe, run, kill.kind, kill.count - already)
            status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            failed = os.waitstatus_to_exitcode(status)
            return failed if failed or kill.kind != "time" else None
        inspect(run, kill)
    return os.waitstatus_to_exitcode(os.waitpid(start(recipe, run), 0)[1])


def draw(
    random: np.random.Generator, runs: list[dict[str, int]], calls: dict[str, list[int]]
) -> list[list[Kill]]:
    """The kills of each run: one at random in each of the equal parts of the calls of its kind."""
    drawn: dict[str, list[Kill]] = {}
    for kind, steps in calls.items():
        number = sum(run.get(kind, 0) for run in runs)
        shares = (random.permutation(number) + random.random(number)) / number
        drawn[kind] = [Kill(kind, 1 + int(share * len(steps))) for share in shares]
    return [
        sorted(
            (drawn[kind].pop() for kind, number in run.items() for _ in range(number)),
            key=lambda kill: calls[kill.kind][kill.count - 1],
        )
        for run in runs
    ]


def main() -> None:
    """Train whole, draw the kills, kill and finish run after run."""
    recipe = parse_recipe(json.loads(Path(sys.argv[1]).read_text()), "test")
    folder, seed, runs = Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)  # imports for a second: once for all
    begin = time.monotonic()
    status = os.waitpid(start(recipe, folder / "whole"), 0)[1]
    if status:
        sys.exit(f"the uninterrupted run failed: wait status {status}")
    steps = recipe.optimizer.steps
    step_s = (time.monotonic() - begin) / (steps + 1)
    calls = json.loads((folder / "whole.calls.json").read_text())
    calls["time"] = list(range(BEFORE_STEPS, steps))  # a "call" is a step
    random = np.random.default_rng(seed)
    results = []
    for number, kills in enumerate(draw(random, runs, calls)):
        run = folder / f"killed-{number}"
        while (status := kill_run(recipe, run, kills, calls, random.uniform(0.0, step_s))) is None:
            shutil.rmtree(run)
        results.append({"exit": status, "kills": [asdict(kill) for kill in kills]})
    counts = {kind: len(steps) for kind, steps in calls.items()}
    print(json.dumps({"calls": counts, "runs": results}))


if __name__ == "__main__":
    main()
