"""``sparsespeech inspect --html``: write the report of a model or a run, with a progress bar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from sparsespeech import atomic_file
from sparsespeech.report.model_report import ReportSources, build_report

HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="PATH",
        help="Write a report with pictures, one page that works offline; MODEL may also be a run "
        "or checkpoint folder.",
    ),
]
RunOption = Annotated[
    Path | None, typer.Option("--run", help="With --html: run folder whose log is drawn.")
]
DenseOption = Annotated[Path | None, typer.Option(help="With --html: checkpoint before pruning.")]
PrunedOption = Annotated[
    Path | None, typer.Option(help="With --html: checkpoint after pruning, before retraining.")
]
SweepOption = Annotated[
    Path | None,
    typer.Option(
        help="With --html: JSON of sparsities and error rates, as of 'bench accuracy' or "
        "'evaluate --json'."
    ),
]


def check_options(html: Path | None, sources: ReportSources, *, as_json: bool) -> None:
    """Raise BadParameter for options that exclude each other or a path that cannot be written."""
    if html is None:
        if sources != ReportSources():
            raise typer.BadParameter(
                "is shown in a report: give --html PATH too",
                param_hint="--run, --dense, --pruned, --sweep",
            )
    elif as_json:
        raise typer.BadParameter("prints no figures: leave out --json", param_hint="--html")
    elif html.is_dir() or not html.parent.is_dir():
        raise typer.BadParameter(
            f"{html}: give the path of a file in an existing folder", param_hint="--html"
        )


def write_report(model: str, html: Path, sources: ReportSources) -> None:
    """Build the report and replace ``html`` by it atomically."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    with bar as progress:
        task = progress.add_task("report", total=None)
        page = build_report(
            model,
            sources,
            lambda name, total: progress.update(
                task, advance=1, total=total, description=f"report: {name}"
            ),
        )
    atomic_file.write_text(html, page)
