"""The types of options that several commands have, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CheckpointArgument = Annotated[
    Path, typer.Argument(help="Run folder of 'sparsespeech train', or one of its checkpoints.")
]
SplitOption = Annotated[
    str | None, typer.Option(help="Only the utterances of this split of the manifest.")
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on with the run in --output, by the recipe that it has."),
]
SetKeyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, as optimizer.steps=500. Repeatable.",
    ),
]
TorchThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads of torch.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")]
