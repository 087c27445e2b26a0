"""Tables of Markdown and the figures in their cells."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table whose first ``left`` columns are words, the others figures set to the right."""
    rule = ["---" if number < left else "---:" for number in range(len(headings))]
    lines = [headings, rule, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_interval(value: float, low: float, high: float, digits: int, *, sign: bool = False) -> str:
    """``8.2 [6.2, 10.2]``, or with signs for a difference."""
    form = f"{'+' if sign else ''}.{digits}f"
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"


def megabytes(size: int) -> str:
    """``0.91 MB`` of a number of bytes, three significant digits."""
    return f"{float(f'{size / 1e6:.3g}'):g} MB"
