"""``sparsespeech train RECIPE``: train, prune and retrain as one recipe file says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.cli.option_types import SetKeyOption, TorchThreadsOption
from sparsespeech.cli.repeat_rounds import run_rounds


def run(
    recipe: Annotated[str, typer.Argument(help="Recipe file (YAML) or bundled recipe name.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Run folder for checkpoints and log; default runs/RECIPE-NAME."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint of the run folder.")
    ] = False,
    set_key: SetKeyOption = None,
    stop_after: Annotated[
        int | None,
        typer.Option(min=1, help="End this session after that many steps of the whole run."),
    ] = None,
    threads: TorchThreadsOption = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard logs into the run folder.")
    ] = False,
) -> None:
    """Train a model; with ``torchrun`` several processes share each step.

    A recipe with the section repeat_until scans, prunes and trains in rounds (S4's loop).
    """
    from sparsespeech.report.training_curve import draw_training_curve
    from sparsespeech.training.log_file import read_log
    from sparsespeech.training.loop import train
    from sparsespeech.training.recipe import load_recipe

    checked = load_recipe(recipe, set_key)
    folder = output or Path("runs") / checked.name
    if checked.repeat_until is not None:
        _refuse_with_rounds(stop_after, tensorboard=tensorboard)
        run_rounds(checked, folder, resume=resume, threads=threads)
        return
    last = train(
        checked,
        folder,
        resume=resume,
        stop_after=stop_after,
        threads=threads,
        tensorboard=tensorboard,
    )
    if os.environ.get("RANK", "0") == "0":  # torchrun: one worker speaks for all
        typer.echo(f"checkpoint: {last}")  # first: the picture may find the disk full
        draw_training_curve(read_log(folder / "log.jsonl"), folder / "training.png", checked.name)
        typer.echo(f"picture: {folder / 'training.png'}")


def _refuse_with_rounds(stop_after: int | None, *, tensorboard: bool) -> None:
    for option, given in (("--stop-after", stop_after is not None), ("--tensorboard", tensorboard)):
        if given:
            raise typer.BadParameter(
                "is for a recipe of one run, and repeat_until trains in rounds: leave it out",
                param_hint=option,
            )
