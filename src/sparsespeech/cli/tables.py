"""Tables of names and figures, as all commands print them."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

FILE_WIDTH = 120  # characters, where the output is no terminal


def table_console(file_width: int = FILE_WIDTH) -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=file_width, highlight=False)


def figures_table(name: str, *headings: str) -> Table:
    """A table whose first column folds in narrow terminals and whose figures never do."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def print_line(console: Console, line: str) -> None:
    """Print ``line`` as it is, unbroken: it may hold a path."""
    console.print(line, markup=False, soft_wrap=True)
