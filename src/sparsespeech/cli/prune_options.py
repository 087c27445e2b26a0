"""The options of ``sparsespeech prune``: their types, and which of them contradict each other."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.cli.sparsity_options import LARGEST_SPARSITY


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


RunFolder = Annotated[
    Path, typer.Option("--output", help="Run folder to write checkpoints and log into.")
]
SparsityOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=LARGEST_SPARSITY,
        help="Share of zeros that each matrix ends with, such as 0.9; needed unless --iterative "
        "or --from says it.",
    ),
]
ScheduleOption = Annotated[
    Course | None,
    typer.Option(
        help="How the sparsity rises over the first half of the steps, from 0.5 on; default "
        "cubic, which is fast at first.",
    ),
]
OneShotOption = Annotated[
    bool,
    typer.Option(
        "--one-shot",
        help="Prune all at once before the first step instead; with --steps 0 nothing is trained.",
    ),
]
IterativeOption = Annotated[
    str | None,
    typer.Option(
        metavar="S,S,...",
        help="Prune and fine-tune in stages of equal length instead, to these rising sparsities; "
        "the learning rate starts anew in each.",
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        min=0, help="Training steps; default: half as many as the checkpoint's recipe has."
    ),
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(help="Peak rate, above 0; default: two thirds of that of the recipe."),
]
ScopeOption = Annotated[
    Scope,
    typer.Option(
        help="Whose smallest weights go: those of each matrix, of each gate of an LSTM matrix, or "
        "of all matrices together (--sparsity is then the total)."
    ),
]
ScanOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="SENSITIVITY.JSON",
        help="File of 'sparsespeech sensitivity': take its suggested sparsities and structure.",
    ),
]
ExceptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGEX=S",
        help="Another sparsity for the matrices whose name matches; 0 leaves them dense; of "
        "several the last counts. Repeatable; before yours: 0.85 for layer1, 0 for the last layer.",
    ),
]
DistillOption = Annotated[
    bool,
    typer.Option("--distill", help="Learn from the outputs of the unpruned checkpoint too."),
]
WerLossOption = Annotated[
    float | None,
    typer.Option(
        "--repeat-until-wer-loss",
        metavar="POINTS",
        min=0.0,
        help="Scan, prune and train in rounds, each sparser, until the development WER is so "
        "many points worse or --sparsity is reached in total; --steps are those of a round.",
    ),
]
StepSparsityOption = Annotated[
    float | None,
    typer.Option(
        help="With --repeat-until-wer-loss: share of the remaining weights that a round removes; "
        "default 0.4."
    ),
]


def check_courses(schedule: Course | None, stages: list[float], *, one_shot: bool) -> None:
    """Raise the usage error of more than one way to prune."""
    if one_shot and stages:
        raise typer.BadParameter("give it or --one-shot, not both", param_hint="--iterative")
    if schedule is not None and (one_shot or stages):
        raise typer.BadParameter(
            "is the course of a ramp; leave it out with --one-shot and --iterative",
            param_hint="--schedule",
        )


def check_no_training(
    *,
    one_shot: bool,
    learning_rate: float | None,
    distill: bool,
    wer_loss: float | None,
    step_sparsity: float | None,
    changes: list[str],
) -> None:
    """Raise the usage error of options that mean nothing with ``--steps 0``."""
    if not one_shot:
        raise typer.BadParameter(
            "0 steps go with --one-shot; a ramp and stages need training", param_hint="--steps"
        )
    given = [
        name
        for name, present in (
            ("--learning-rate", learning_rate is not None),
            ("--distill", distill),
            ("--repeat-until-wer-loss", wer_loss is not None),
            ("--step-sparsity", step_sparsity is not None),
            *((f"--set {change}", not change.startswith("pruning.")) for change in changes),
        )
        if present
    ]
    if given:
        raise typer.BadParameter(
            f"0 steps train nothing: leave out {', '.join(given)}, or give steps",
            param_hint="--steps",
        )
