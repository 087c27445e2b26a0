"""``sparsespeech prune CHECKPOINT``: prune at once or while training on, without a recipe."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparsespeech.cli.pruned_weights import report_pruned
from sparsespeech.cli.repeat_rounds import run_rounds
from sparsespeech.errors import RecipeError

if TYPE_CHECKING:
    from sparsespeech.pruning.retraining_recipe import Retraining
    from sparsespeech.training.recipe import Recipe

INITIAL_SPARSITY = 0.5  # of the first mask update of a ramp


class Course(StrEnum):
    """Courses of the sparsity that need no list or function."""

    cubic = "cubic"
    linear = "linear"
    threshold = "threshold"


class Scope(StrEnum):
    """Which weights share a threshold."""

    layer = "layer"
    gate = "gate"
    all = "global"


def run(
    checkpoint: Annotated[
        Path, typer.Argument(help="Run folder of 'sparsespeech train', or one of its checkpoints.")
    ],
    output: Annotated[Path, typer.Option(help="Run folder to write checkpoints and log into.")],
    sparsity: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.999, help="Final sparsity of each matrix, such as 0.9."),
    ] = None,
    schedule: Annotated[
        Course, typer.Option(help="Course of a gradual ramp over the first half of the steps.")
    ] = Course.cubic,
    one_shot: Annotated[
        bool, typer.Option("--one-shot", help="Prune once, then train on for --steps.")
    ] = False,
    iterative: Annotated[
        str | None,
        typer.Option(
            metavar="S,S,...",
            help="Prune and fine-tune in stages of equal length; the learning rate is rewound.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=0, help="Training steps; default: half of the checkpoint's. 0 with --one-shot."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Peak rate; default: two thirds of the checkpoint's.")
    ] = None,
    structure: Annotated[
        str,
        typer.Option(help="unstructured, bank:64, row-cap:64/1024, 2:4 or block:4x16."),
    ] = "unstructured",
    scope: Annotated[
        Scope, typer.Option(help="Weights of a matrix, of a gate or of all matrices compete.")
    ] = Scope.layer,
    sensitivity: Annotated[
        Path | None,
        typer.Option("--from", help="sensitivity.json: take its suggested sparsities."),
    ] = None,
    exceptions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGEX=S",
            help="Another sparsity for the matrices that match; 0 leaves them dense. Repeatable; "
            "given before yours: 0.85 for layer1 and 0 for layer6 of DeepSpeech.",
        ),
    ] = None,
    distill: Annotated[
        bool, typer.Option("--distill", help="The checkpoint as it is teaches its pruned self.")
    ] = False,
    wer_loss: Annotated[
        float | None,
        typer.Option(
            "--repeat-until-wer-loss",
            min=0.0,
            help="Scan, prune and train in rounds, each sparser, until the development WER is so "
            "many points worse or --sparsity is reached; --steps are those of a round.",
        ),
    ] = None,
    step_sparsity: Annotated[
        float | None,
        typer.Option(help="Share of the remaining weights that a round removes; default 0.4."),
    ] = None,
    set_key: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change any key of the recipe made."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in --output as it was started; only that counts."
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of torch.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Prune a trained network: gradually, once, or in stages, and let it recover.

    Data, features and network come from the checkpoint's own recipe, which is written, with what
    changed, into the run folder.
    """
    from sparsespeech.pruning.retraining_recipe import RAMP_END, Retraining
    from sparsespeech.pruning.settings import DEFAULT_EXCEPTIONS
    from sparsespeech.training.loop import train
    from sparsespeech.training.recipe import load_recipe

    stages = _stages(iterative)
    if resume and (output / "recipe.yaml").is_file():
        recipe = load_recipe(str(output / "recipe.yaml"))
    else:
        section = {
            "final_sparsity": _final_sparsity(sparsity, stages, sensitivity),
            "initial_sparsity": INITIAL_SPARSITY,
            "start": 0.0,
            "end": RAMP_END,
            "shape": "one_shot" if one_shot else schedule.value,
            "scope": scope.value,
            "structure": _structure(structure),
            "exceptions": {**DEFAULT_EXCEPTIONS, **_exceptions(exceptions or [])},
            "from_sensitivity": str(sensitivity.resolve()) if sensitivity else None,
            "keep_zeros": True,
        }
        if one_shot and stages:
            raise typer.BadParameter("give it or --one-shot, not both", param_hint="--iterative")
        if steps == 0:
            _prune_now(checkpoint, section, output, set_key or [], one_shot=one_shot)
            report_pruned(output, as_json=as_json)
            return
        retraining = Retraining(steps, learning_rate, stages, distill)
        rounds = _rounds(wer_loss, step_sparsity)
        recipe = _recipe(checkpoint, section, retraining, rounds, set_key or [])
    if recipe.repeat_until is not None:
        run_rounds(recipe, output, resume=resume, threads=threads, as_json=as_json)
        return
    train(recipe, output, resume=resume, threads=threads)
    if os.environ.get("RANK", "0") == "0":  # torchrun: one worker speaks for all
        report_pruned(output, as_json=as_json)


def _stages(text: str | None) -> tuple[float, ...]:
    """Sparsities of the option --iterative; raises a usage error."""
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of sparsities, such as 0.5,0.75,0.9", param_hint="--iterative"
        ) from None


def _final_sparsity(
    sparsity: float | None, stages: tuple[float, ...], sensitivity: Path | None
) -> float:
    from sparsespeech.pruning.sensitivity_file import read_scan

    if sparsity is not None:
        return sparsity
    if stages:
        return stages[-1]
    suggested = read_scan(sensitivity).suggested if sensitivity is not None else None
    if suggested is None:
        raise typer.BadParameter(
            "say how sparse: this, --iterative, or --from with a complete sensitivity.json",
            param_hint="--sparsity",
        )
    return suggested.target


def _structure(text: str) -> dict[str, Any]:
    from sparsespeech.pruning.structure_settings import parse_structure

    try:
        return parse_structure(text).model_dump()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--structure") from None


def _exceptions(texts: list[str]) -> dict[str, float]:
    found = {}
    for text in texts:
        expression, _, value = text.rpartition("=")
        try:
            found[expression] = float(value)
        except ValueError:
            found[expression] = -1.0
        if not expression or not 0.0 <= found[expression] < 1.0:
            raise typer.BadParameter(
                f"{text!r} is not REGEX=SPARSITY, such as 'weight_hh=0.95'",
                param_hint="--exceptions",
            )
    return found


def _rounds(wer_loss: float | None, step_sparsity: float | None) -> dict[str, Any]:
    """The recipe's section ``repeat_until`` as far as options say; raises a usage error."""
    if wer_loss is None:
        if step_sparsity is not None:
            raise typer.BadParameter(
                "goes with --repeat-until-wer-loss", param_hint="--step-sparsity"
            )
        return {}
    step = {} if step_sparsity is None else {"step": step_sparsity}
    return {"repeat_until": {"wer_loss": wer_loss, **step}}


def _recipe(
    checkpoint: Path,
    section: dict[str, Any],
    retraining: Retraining,
    rounds: dict[str, Any],
    changes: list[str],
) -> Recipe:
    """The checked recipe of the run."""
    from sparsespeech.pruning.retraining_recipe import retraining_recipe
    from sparsespeech.training.checkpoint import find_checkpoint, read_state
    from sparsespeech.training.recipe import parse_recipe, set_key

    folder = find_checkpoint(checkpoint)
    values = retraining_recipe(folder, read_state(folder)["recipe"], section, retraining)
    values.update(rounds)
    for change in changes:
        set_key(values, change)
    return parse_recipe(values, f"recipe made from {folder}")


def _prune_now(
    checkpoint: Path, section: dict[str, Any], output: Path, changes: list[str], *, one_shot: bool
) -> None:
    """Prune without training."""
    from pydantic import ValidationError

    from sparsespeech.pruning.one_shot import prune_checkpoint
    from sparsespeech.pruning.settings import Pruning
    from sparsespeech.training.recipe import set_key

    if not one_shot:
        raise typer.BadParameter(
            "0 steps go with --one-shot; a ramp and stages need training", param_hint="--steps"
        )
    values = {"pruning": section}
    for change in changes:
        set_key(values, change)
    try:
        settings = Pruning.model_validate(values["pruning"])
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in ("pruning", *first["loc"]))
        raise RecipeError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None
    prune_checkpoint(checkpoint, settings, output)
