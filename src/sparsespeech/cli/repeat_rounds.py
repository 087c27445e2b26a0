"""``sparsespeech train`` with a recipe that has the section ``repeat_until``: its rounds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sparsespeech.cli.tables import figures_table, print_line, table_console
from sparsespeech.errors import CheckpointError, RecipeError

if TYPE_CHECKING:
    from sparsespeech.training.recipe import Recipe


def run_rounds(
    recipe: Recipe, output: Path, *, resume: bool, threads: int | None, as_json: bool = False
) -> None:
    """Run the loop of ``recipe`` in the folder ``output`` and print its rounds.

    Raises CheckpointError where a loop is there already and ``resume`` is not given, RecipeError
    under ``torchrun``.
    """
    from sparsespeech.pruning.repeat_until import repeat_until
    from sparsespeech.training.recipe import expand_path

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError("repeat_until: the rounds run in one process; start it without torchrun")
    if (output / "rounds.json").is_file() and not resume:
        raise CheckpointError(
            f"{output}: holds a loop already; use --resume to go on or another --output"
        )
    loop = repeat_until(recipe, output, threads=threads)
    result = str(loop.result(expand_path(recipe.model.initial or "")))
    if as_json:
        typer.echo(json.dumps({**asdict(loop), "checkpoint": result}))
        return
    console = table_console()
    table = figures_table("round", "target", "sparsity", "development WER", "kept")
    table.add_row("before", "", "", f"{loop.wer_before:.2f} %", "")
    for done in loop.rounds:
        kept = "yes" if done.kept else "no"
        table.add_row(
            str(done.number),
            f"{done.target:.2%}",
            f"{done.sparsity:.2%}",
            f"{done.wer:.2f} %",
            kept,
        )
    console.print(table)
    for line in (f"ended: {loop.ended}", f"checkpoint: {result}"):
        print_line(console, line)
