"""What all benchmarks do with their result: tables, one JSON object, a picture, a Markdown page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from sparsespeech.atomic_file import write_text
from sparsespeech.errors import BenchmarkError

if TYPE_CHECKING:  # imported when a benchmark runs
    from sparsespeech.benchmarks.result import BenchResult

_FILE_WIDTH = 200  # characters, where the output is no terminal
# What tables, pictures and pages run into where the rows of a file are not as they were written.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Output = Annotated[Path | None, typer.Option(help="Write the JSON object to this file too.")]
KeptResults = Annotated[
    list[Path],
    typer.Argument(
        metavar="RESULT...", help="JSON objects that one benchmark wrote; several are shown as one."
    ),
]
Plot = Annotated[Path | None, typer.Option(help="Draw the result: .png, .svg or .pdf.")]
MarkdownPage = Annotated[
    Path | None,
    typer.Option(
        help="Write the tables to this new file, or into a page between the comments "
        "<!-- bench NAME --> and <!-- end of bench NAME -->."
    ),
]


def publish(
    run: Callable[[], BenchResult],
    as_json: bool,
    output: Path | None,
    plot: Path | None,
    page: tuple[str, Path] | None = None,
) -> None:
    """Run a benchmark and write its result wherever it is wanted.

    ``page``: name of the benchmark and the Markdown page that takes its tables. Raises
    BenchmarkError or MissingDependencyError before the run for a picture or page that could not
    be written after it.
    """
    from sparsespeech.benchmarks.plots import check_picture, draw

    if plot is not None:
        check_picture(plot)  # before the minutes that a benchmark takes
    if page is not None:
        from sparsespeech.benchmarks.markdown import check_page, write_markdown

        bench, markdown = page
        check_page(markdown, bench)
    result = run()
    text = json.dumps(result.to_json(), ensure_ascii=False, indent=1)
    if output is not None:
        write_text(output, text + "\n")
    if plot is not None:
        draw(result, plot)
    if page is not None:
        write_markdown(result, markdown)
    if as_json:
        typer.echo(text)
    else:
        _show(result)


def publish_kept(
    results: list[Path], as_json: bool, plot: Path | None, markdown: Path | None
) -> None:
    """Write what benchmarks kept in the files ``results`` wherever it is wanted, as one result.

    Raises BenchmarkError for a file that is no result, whose rows are not those of its benchmark,
    or that cannot be joined with the others; else as :func:`publish`.
    """
    from sparsespeech.benchmarks.joined_result import join_results

    kept = join_results([_read_result(path) for path in results])
    try:
        publish(lambda: kept, as_json, None, plot, (kept.bench, markdown) if markdown else None)
    except _MALFORMED as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise BenchmarkError(
            f"{', '.join(map(str, results))}: rows or settings are not those of bench "
            f"{kept.bench}: {reason or type(error).__name__}; measure again with --output"
        ) from error


def _read_result(path: Path) -> BenchResult:
    """The result that a benchmark wrote with --output; raises BenchmarkError."""
    from sparsespeech.benchmarks.result import BenchResult

    try:
        return BenchResult.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:  # of the encoding, of JSON, of its depth
        raise BenchmarkError(f"{path}: not JSON: {error}") from None
    except BenchmarkError as error:
        raise BenchmarkError(f"{path}: {error}") from None


def _show(result: BenchResult) -> None:
    console = Console(markup=False)  # brackets in a cell are an interval
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH, markup=False)
    answer = result.to_json()
    facts = answer["machine"]
    console.print(
        f"bench {result.bench} on {facts['processor']} "
        f"({' '.join(facts['cpu_flags'])}), load {facts['load_average']}",
        markup=False,
        highlight=False,
    )
    for name in dict.fromkeys(row["table"] for row in answer["rows"]):
        console.print(_table(name, [row for row in answer["rows"] if row["table"] == name]))
    figures = Table("figure", title="Figures", title_justify="left", box=box.SIMPLE_HEAD)
    figures.add_column("value", justify="right")
    for name, value in answer["figures"].items():
        figures.add_row(name, _cell(value))
    console.print(figures)
    for note in answer["config"].get("left_out", []):
        console.print(note, markup=False, highlight=False)


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    """A table with the columns of all its rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "table"))
    if "title" in columns:  # the same in words
        columns.remove("name")
        columns.insert(0, columns.pop(columns.index("title")))
    table = Table(title=name, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        numeric = all(not isinstance(row.get(column), str) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(column, "")) for column in columns))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    return str(value)
