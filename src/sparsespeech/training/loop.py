"""The training loop: each step prunes, trains, and writes log and checkpoints when they are due.

What a step does is in ``session.py``.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import torch
import yaml
from rich.progress import Progress

from sparsespeech import atomic_file
from sparsespeech.errors import CheckpointError
from sparsespeech.training import checkpoint as checkpoints
from sparsespeech.training.distributed import barrier, worker_group
from sparsespeech.training.incident import left_out
from sparsespeech.training.memory import keep_freed_memory, return_freed_memory
from sparsespeech.training.recipe import Recipe
from sparsespeech.training.run_log import RunLog, training_progress
from sparsespeech.training.session import Session


def train(
    recipe: Recipe,
    run: Path,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    threads: int | None = None,
    tensorboard: bool = False,
    files_may_move: bool = False,
) -> Path:
    """Run ``recipe`` in the folder ``run`` and return the last checkpoint.

    ``resume`` goes on from the newest checkpoint of ``run`` (or starts if there is none);
    ``stop_after`` ends the session early after that many steps of the whole run; ``threads`` is
    the number of CPU threads; with ``files_may_move`` the first checkpoint and the scan that the
    recipe names may lie elsewhere when the run goes on. Raises RecipeError, ManifestError,
    AudioError, CheckpointError, and TrainingError if the run diverges.
    """
    keep_freed_memory()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # That also fills every torch.empty with NaN, to find who reads it unwritten: 8 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    with worker_group() as (rank, workers), training_progress(rank == 0) as progress:
        if not resume and checkpoints.list_checkpoints(run):
            raise CheckpointError(
                f"{run}: holds checkpoints already; use --resume to go on or another --output"
            )
        barrier(workers)  # nobody writes before all have looked
        session = Session.build(recipe, run, progress, rank, workers, resume=resume)
        first, elsewhere = session.restore(files_may_move=files_may_move) if resume else (0, None)
        if rank == 0:
            text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
            atomic_file.write_text(run / "recipe.yaml", text)
        log = RunLog(
            run, first, enabled=rank == 0, tensorboard=tensorboard, console=progress.console
        )
        with closing(log):
            if elsewhere is not None:
                log.report(first, elsewhere)
            if first == 0:
                log.write(0, session.corpus_figures())
                for utterance in session.unalignable():
                    log.report(0, left_out(utterance))
            steps = min(recipe.optimizer.steps, stop_after or recipe.optimizer.steps)
            _train_steps(session, range(first, steps), log, progress)
        if rank == 0:
            session.save(max(first, steps))
        barrier(workers)
    return checkpoints.find_checkpoint(run)


def _train_steps(session: Session, steps: range, log: RunLog, progress: Progress) -> None:
    """Train ``steps``, writing log and checkpoints when they are due."""
    total, settings = session.recipe.optimizer.steps, session.recipe.logging
    task = progress.add_task("train", total=total, completed=steps.start)
    for step in steps:
        done = step + 1
        changed = session.prune(step)
        if changed is not None:
            log.mask_update(done, session.sparsity(), changed)
        loss, incident = session.train_step(step)
        if incident is not None:
            log.report(done, incident)
        if done % settings.log_every == 0 or done == steps.stop:
            log.write(done, session.figures(step, loss))
            return_freed_memory()
        if done % settings.evaluate_every == 0 or done == total:
            log.write(done, session.development_figures(step))
            session.throughput.restart()
        due = done % settings.checkpoint_every == 0
        if due and session.rank == 0 and not session.policy.skipped_in_a_row:
            session.save(done)
            session.throughput.restart()
        barrier(session.workers if due else 1)
        progress.update(task, completed=done, description=log.line())
