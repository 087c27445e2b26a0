"""How evenly the nonzeros of rows lie: the load of an accelerator's row banks.

Axes: R rows, K banks of a row. A core of the MAU paper holds 1,024 activations and takes 64
weights of a row in a cycle, 1 in 16; four rows run side by side. A row with more than 64 in a
bank takes further cycles. Matrices of fewer columns are measured against a core of their own
width that takes 1 in 16 too, so that small models can be judged like large ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.statistics import BANK_COLUMNS, BANK_ROW_LIMIT
from sparsespeech.report.html import Cell, Markup, ShareCell
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Figure, draw_picture
from sparsespeech.report.style import BLUE, RED
from sparsespeech.report.weights import WeightMatrix

ROWS_IN_STEP = 4  # rows that one core of the MAU paper computes in parallel
_BARS = 60

HEADINGS = (
    "matrix", "bank", "limit", "mean", "fullest", "over the limit", "cycles", "extra, rows alone",
    "extra, rows by four", "multipliers busy",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Occupancy:
    """Nonzeros of every row in every bank, and what they cost in cycles of one core."""

    name: str
    counts: NDArray[np.int64]  # int64[R, K]
    widths: NDArray[np.int64]  # columns of each bank, int64[K]; the last may be narrower

    @property
    def limits(self) -> NDArray[np.int64]:
        """Nonzeros of a row that a core of each bank's width takes in a cycle, int64[K]."""
        return np.asarray(-(-self.widths * BANK_ROW_LIMIT // BANK_COLUMNS))

    @property
    def share_over(self) -> float:
        """Share of the row and bank pairs over their limit, 0 to 1."""
        return float(np.mean(self.counts > self.limits))

    @property
    def row_cycles(self) -> NDArray[np.int64]:
        """Cycles of each row in each bank, at least one, int64[R, K]."""
        return np.asarray(np.maximum(1, -(-self.counts // self.limits)))

    @property
    def ideal_cycles(self) -> float:
        """Cycles of all banks one after the other if no row overflowed."""
        return self.counts.size / ROWS_IN_STEP

    @property
    def extra_by_rows(self) -> float:
        """Further cycles, as a share of the ideal ones, if rows do not wait for each other."""
        return float(np.mean(self.row_cycles)) - 1.0

    @property
    def extra_by_fours(self) -> float:
        """The same if four neighbouring rows go on together when the slowest is done."""
        rows, banks = self.counts.shape
        groups = -(-rows // ROWS_IN_STEP)
        padded = np.ones((groups * ROWS_IN_STEP, banks), dtype=np.int64)
        padded[:rows] = self.row_cycles
        slowest = padded.reshape(groups, ROWS_IN_STEP, banks).max(axis=1)
        return float(np.mean(slowest)) - 1.0

    @property
    def busy(self) -> float:
        """Nonzeros by the multiplications of all cycles of ``extra_by_rows``, 0 to 1."""
        return float(self.counts.sum() / (self.row_cycles * self.limits).sum())


def occupancy(matrix: WeightMatrix) -> Occupancy:
    """Count the nonzeros of every row in every bank of 1,024 columns."""
    rows, columns = matrix.shape
    edges = np.append(np.arange(0, columns, BANK_COLUMNS), columns)
    banks = len(edges) - 1
    place = matrix.rows() * banks + matrix.column // BANK_COLUMNS
    counts = np.bincount(place, minlength=rows * banks).reshape(rows, banks)
    return Occupancy(matrix.name, counts, np.diff(edges))


def occupancy_row(found: Occupancy) -> tuple[Cell, ...]:
    """A row of the table with ``HEADINGS``."""
    return (
        found.name,
        _ends(found.widths),
        _ends(found.limits),
        f"{found.counts.mean():.1f}",
        f"{found.counts.max()}",
        ShareCell(found.share_over),
        f"{found.ideal_cycles:,.0f}",
        f"+{found.extra_by_rows:.1%}",
        f"+{found.extra_by_fours:.1%}",
        ShareCell(found.busy, digits=0),
    )


def occupancy_total(matrices: Sequence[Occupancy]) -> tuple[Cell, ...]:
    """The last row of the table: all matrices one after the other on one core."""
    ideal = sum(found.ideal_cycles for found in matrices)
    banks = sum(found.counts.size for found in matrices)
    over = sum(found.share_over * found.counts.size for found in matrices) / banks
    alone = sum(found.extra_by_rows * found.ideal_cycles for found in matrices) / ideal
    fours = sum(found.extra_by_fours * found.ideal_cycles for found in matrices) / ideal
    slots = sum(int((found.row_cycles * found.limits).sum()) for found in matrices)
    busy = sum(int(found.counts.sum()) for found in matrices) / slots
    return (
        "total", "", "", "", "", ShareCell(over), f"{ideal:,.0f}", f"+{alone:.1%}", f"+{fours:.1%}",
        ShareCell(busy, digits=0),
    )  # fmt: skip


def occupancy_picture(found: Occupancy) -> Markup:
    """Histogram of the nonzeros in a bank; what stands right of the limit stalls a core."""
    narrow = found.widths.min() < found.widths.max()
    width = int(found.widths.max())
    counts = np.rint(found.counts * (width / found.widths)).astype(np.int64) if narrow else (
        found.counts
    )  # fmt: skip
    limit = int(found.limits[0])
    step = -(-(int(counts.max()) + 1) // _BARS)
    edges = step * np.arange(int(counts.max()) // step + 2) - 0.5
    shares = np.histogram(counts, edges)[0] / counts.size

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        bars = {"width": step, "align": "edge", "linewidth": 0}
        over = edges[:-1] >= limit
        axes.bar(edges[:-1][~over], 100 * shares[~over], color=BLUE, **bars)
        axes.bar(edges[:-1][over], 100 * shares[over], color=RED, **bars)
        axes.axvline(limit + 0.5, color=RED, linestyle="--", linewidth=1.2)
        axes.annotate(
            f"1 in 16: {limit}", (limit + 0.5, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 3), textcoords="offset points", color=RED, ha="center",
        )  # fmt: skip
        axes.set_xlim(left=-0.5)
        axes.set_xlabel(f"nonzeros of a row in {width:,} columns")
        axes.set_ylabel("row banks (%)")

    picture = draw_picture(paint, f"Nonzeros of a row in a bank of {found.name}; limit {limit}")
    scaled = "; narrower banks scaled up" if narrow else ""
    return captioned(
        picture,
        f"{found.share_over:.1%} of {counts.size:,} row banks are over the limit{scaled}.",
        title=found.name,
    )


def _ends(values: NDArray[np.int64]) -> str:
    """The value of full banks, and of the last one where that is narrower."""
    full, last = int(values[0]), int(values[-1])
    return f"{full:,}" if full == last else f"{full:,}, last {last:,}"
