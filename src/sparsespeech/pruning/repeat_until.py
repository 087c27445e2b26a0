"""S4's loop: scan the sensitivity, prune a little, fine-tune, until too many words are wrong.

Each round scans the network of the round before, takes the sparsities that the scan suggests for
the round's total, and trains by the recipe with weights pruned so far held at zero. A round that
ends within the stated loss of word error rate is kept and the next one starts from it; the first
that does not ends the loop.

A loop that was stopped goes on to the same end: finished rounds are read from ``rounds.json``, a
scan and a training run that were cut short go on by themselves.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from sparsespeech import atomic_file
from sparsespeech.errors import CheckpointError, RecipeError
from sparsespeech.pruning.repeat_settings import RepeatUntil
from sparsespeech.pruning.round_suggestion import (
    check_last_round,
    exceptions_beside_suggestion,
    matrix_structures,
    suggest,
)
from sparsespeech.pruning.settings import Pruning
from sparsespeech.training.checkpoint import Checkpoint, list_checkpoints, load_checkpoint
from sparsespeech.training.checkpoint_digest import checkpoint_digest
from sparsespeech.training.checkpoint_figures import development_wer
from sparsespeech.training.loop import train
from sparsespeech.training.recipe import Recipe, expand_path, parse_recipe
from sparsespeech.training.run_identity import first_difference
from sparsespeech.training.run_log import training_progress
from sparsespeech.training.weight_matrices import count_weights


@dataclass(frozen=True)
class Round:
    """One finished round: what it aimed at, what it reached, and whether it was kept.

    Sparsities are shares of zeros over all weight matrices, ``wer`` is per cent. ``checkpoint`` is
    relative to the loop's folder in its ``rounds.json`` alone, so that the folder can be moved.
    """

    number: int
    target: float
    sparsity: float
    wer: float
    checkpoint: str
    kept: bool


@dataclass(frozen=True)
class Loop:
    """All rounds so far; ``ended`` says why there are no more, empty while there may be."""

    wer_before: float
    rounds: tuple[Round, ...]
    ended: str = ""

    def result(self, initial: Path) -> Path:
        """The sparsest checkpoint that was kept, ``initial`` where none was."""
        kept = [done.checkpoint for done in self.rounds if done.kept]
        return Path(kept[-1]) if kept else initial


def repeat_until(recipe: Recipe, output: Path, *, threads: int | None = None) -> Loop:
    """Run the recipe's ``repeat_until`` in the folder ``output``, from ``model.initial`` on.

    Raises RecipeError for a recipe without those, CheckpointError where ``output`` holds the loop
    of another recipe or checkpoint, and what scan and training raise.
    """
    settings, pruning, initial = _required(recipe)
    output = output.resolve()  # so that the loop goes on from any working directory
    dense = load_checkpoint(initial)
    matrix_structures(dense, pruning)  # what does not fit the network shows before any work
    facts = {"recipe": _identity(recipe), "initial_sha256": checkpoint_digest(dense)}
    loop = _read(output, facts)
    if loop is None:
        check_last_round(dense, recipe)  # or many rounds are trained before it shows
        with training_progress(True) as progress:
            loop = Loop(development_wer(dense, recipe, output / "features", progress), ())
        text = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
        output.mkdir(parents=True, exist_ok=True)
        atomic_file.write_text(output / "recipe.yaml", text)
        _write(output, facts, loop)
    while not loop.ended:
        number = len(loop.rounds) + 1
        done = _run_round(recipe, number, loop, loop.result(initial), output, threads)
        loop = Loop(loop.wer_before, (*loop.rounds, done), _reason(done, settings, pruning, loop))
        _write(output, facts, loop)
    return loop


def _run_round(
    recipe: Recipe, number: int, loop: Loop, start: Path, output: Path, threads: int | None
) -> Round:
    """Scan ``start``, prune and train; nothing that is finished is done again."""
    settings, pruning, _ = _required(recipe)
    folder = output / f"round-{number:02d}"
    source = load_checkpoint(start)
    target = settings.target(number, pruning.final_sparsity)
    file = folder / "sensitivity.json"
    if not list_checkpoints(folder):  # a run that has begun keeps to what was suggested then
        with training_progress(True) as progress:
            suggest(source, recipe, target, file, progress)
    before = _sparsity(source)
    changes: dict[str, Any] = {
        "name": f"{recipe.name}-round-{number:02d}",
        "repeat_until": None,
        "model": {**recipe.model.model_dump(mode="json"), "initial": str(start)},
        "pruning": {
            **pruning.model_dump(mode="json"),
            "from_sensitivity": str(file),
            "exceptions": exceptions_beside_suggestion(pruning),
            "final_sparsity": target,
            "initial_sparsity": min(before, target),
            "keep_zeros": True,
        },
    }
    values = {**recipe.model_dump(mode="json"), **changes}
    _share_features(folder, output / "features")
    trained = train(
        parse_recipe(values, str(folder)),
        folder,
        resume=True,
        threads=threads,
        files_may_move=True,
    )
    checkpoint = load_checkpoint(trained)
    with training_progress(True) as progress:
        wer = development_wer(checkpoint, recipe, output / "features", progress)
    kept = wer <= loop.wer_before + settings.wer_loss
    return Round(number, target, _sparsity(checkpoint), wer, str(trained), kept)


def _reason(done: Round, settings: RepeatUntil, pruning: Pruning, loop: Loop) -> str:
    """Why ``done`` is the last round; empty where another one follows."""
    if not done.kept:
        return (
            f"WER {done.wer:.2f} % is more than {settings.wer_loss:g} points above "
            f"{loop.wer_before:.2f} %"
        )
    if done.target >= pruning.final_sparsity:
        return f"final sparsity {pruning.final_sparsity:g} reached"
    return f"{settings.rounds} rounds done" if done.number >= settings.rounds else ""


def _required(recipe: Recipe) -> tuple[RepeatUntil, Pruning, Path]:
    settings, pruning, initial = recipe.repeat_until, recipe.pruning, recipe.model.initial
    if settings is None or pruning is None or initial is None:
        raise RecipeError(
            f"{recipe.name}: the loop needs the sections repeat_until and pruning, and "
            f"model.initial, the dense checkpoint to start from"
        )
    return settings, pruning, expand_path(initial).resolve()


def _sparsity(checkpoint: Checkpoint) -> float:
    """Share of zeros over all weight matrices."""
    entries, nonzeros = count_weights(checkpoint)
    return 1.0 - nonzeros / entries


def _share_features(folder: Path, features: Path) -> None:
    """All rounds train on the same speech: let them find its features in one place."""
    folder.mkdir(parents=True, exist_ok=True)
    features.mkdir(parents=True, exist_ok=True)
    link = folder / "features"
    if not link.exists():
        link.symlink_to(Path("..") / features.name, target_is_directory=True)


def _identity(recipe: Recipe) -> dict[str, Any]:
    """What decides the loop's end; a resumed one may log differently and have another name."""
    values = recipe.model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in ("name", "logging")}


def _read(output: Path, facts: dict[str, Any]) -> Loop | None:
    """The loop in ``output``; None where there is none."""
    path = output / "rounds.json"
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        rounds = tuple(
            Round(**{**done, "checkpoint": str(output / done["checkpoint"])})
            for done in values["rounds"]
        )
        loop = Loop(float(values["wer_before"]), rounds, str(values["ended"]))
        was = values["facts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: cannot read the rounds: {error}") from None
    different = first_difference(was, facts)
    if different:
        raise CheckpointError(
            f"{path}: belongs to another loop: {different}; go on with what it was started with, "
            f"or choose another --output"
        )
    return loop


def _write(output: Path, facts: dict[str, Any], loop: Loop) -> None:
    content = {
        "facts": facts,
        "wer_before": loop.wer_before,
        "rounds": [
            {**asdict(done), "checkpoint": str(Path(done.checkpoint).relative_to(output))}
            for done in loop.rounds
        ],
        "ended": loop.ended,
    }
    atomic_file.write_text(output / "rounds.json", json.dumps(content, indent=1) + "\n")
