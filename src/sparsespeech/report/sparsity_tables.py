"""Tables of a report: sparsity by layer, matrix and gate; scales of the weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparsespeech.graph import Graph
from sparsespeech.model_file.statistics import count_parameters
from sparsespeech.report.html import Cell, Markup, ShareCell, table
from sparsespeech.report.weights import GATES, WeightMatrix

_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class MatrixSummary:
    """What the tables need of one matrix once its weights are gone."""

    name: str
    shape: tuple[int, int]
    nonzeros: int
    gate_sparsity: tuple[float, ...]
    empty_rows: int  # outputs that depend on their bias alone
    unused_columns: int  # inputs that nobody reads
    scale: float | None
    scales: tuple[float, float] | None
    is_integer: bool
    largest: float  # largest absolute value, as stored
    distinct: int  # different nonzero values
    deviation: float  # root mean square of the nonzeros, as stored

    @property
    def entries(self) -> int:
        """Weights of the dense matrix."""
        return self.shape[0] * self.shape[1]

    @property
    def sparsity(self) -> float:
        """Share of absent weights, 0 to 1."""
        return 1.0 - self.nonzeros / self.entries


def summarise(matrix: WeightMatrix) -> MatrixSummary:
    """Count what the tables show."""
    value = matrix.value.astype(np.float64)
    return MatrixSummary(
        name=matrix.name,
        shape=matrix.shape,
        nonzeros=matrix.nonzeros,
        gate_sparsity=matrix.gate_sparsity(),
        empty_rows=int((matrix.row_nonzeros == 0).sum()),
        unused_columns=int((matrix.column_nonzeros == 0).sum()),
        scale=matrix.scale,
        scales=matrix.scales,
        is_integer=matrix.is_integer,
        largest=float(np.abs(value).max(initial=0.0)),
        distinct=int(np.unique(matrix.value).size),
        deviation=float(np.sqrt(np.mean(value**2))) if value.size else 0.0,
    )


def total_sparsity(matrices: Sequence[MatrixSummary]) -> float:
    """Share of absent weights in all ``matrices`` together, 0 to 1."""
    return 1.0 - sum(m.nonzeros for m in matrices) / sum(m.entries for m in matrices)


def layer_table(
    graph: Graph, matrices: Sequence[MatrixSummary], stored: Mapping[str, int] | None
) -> Markup:
    """Layers with their share of parameters, nonzeros and bytes."""
    headings = ["layer", "kind", "parameters", "nonzeros", "sparsity", "float32"]
    rows: list[list[Cell]] = []
    for layer in graph.layers:
        own = [m for m in matrices if m.name.startswith(f"{layer.name}.")]
        parameters = count_parameters(layer)
        row = [layer.name, type(layer).__name__.lower(), *_totals(parameters, own)]
        rows.append(row + ([_megabytes(stored[layer.name])] if stored is not None else []))
    total: list[Cell] = ["total", "", *_totals(count_parameters(graph), matrices)]
    if stored is not None:
        headings.append("stored")
        total.append(_megabytes(sum(stored.values())))
    return table(headings, rows, text_columns=2, total=total)


def matrix_table(matrices: Sequence[MatrixSummary]) -> Markup:
    """Matrices with the sparsity of each LSTM gate, rows and columns that pruning emptied."""
    rows = []
    for matrix in matrices:
        gates: list[Cell] = [ShareCell(share, digits=1) for share in matrix.gate_sparsity]
        rows.append(
            [
                matrix.name,
                f"{matrix.shape[0]:,} × {matrix.shape[1]:,}",
                f"{matrix.nonzeros:,}",
                ShareCell(matrix.sparsity),
                *(gates or [""] * len(GATES)),
                f"{matrix.empty_rows:,}",
                f"{matrix.unused_columns:,}",
            ]
        )
    gate_headings = [f"gate {gate}" for gate in GATES]
    return table(
        ["matrix", "shape", "nonzeros", "sparsity", *gate_headings, "empty rows", "unused columns"],
        rows,
    )


def scale_table(matrices: Sequence[MatrixSummary]) -> Markup:
    """Scales and ranges of the weights: what a step of the stored integers is worth."""
    rows = []
    for matrix in matrices:
        real = matrix.scale
        rows.append(
            [
                matrix.name,
                _scale(matrix),
                f"{matrix.largest:g}" if matrix.is_integer else "",
                f"±{matrix.largest * real:.4f}" if real is not None else "",
                f"{matrix.deviation * real:.4f}" if real is not None else "",
                f"{matrix.distinct:,}",
            ]
        )
    return table(
        [
            "matrix",
            "scale (weight of 1)",
            "largest integer",
            "range of weights",
            "root mean square",
            "distinct values",
        ],
        rows,
    )


def _totals(parameters: int, matrices: Sequence[MatrixSummary]) -> list[Cell]:
    return [
        f"{parameters:,}",
        f"{sum(matrix.nonzeros for matrix in matrices):,}",
        ShareCell(total_sparsity(matrices)),
        _megabytes(_FLOAT32_BYTES * parameters),
    ]


def _scale(matrix: MatrixSummary) -> str:
    if not matrix.is_integer:
        return "float"
    if matrix.scales is None:
        return "unknown"
    low, high = (f"{end:.3e}" for end in matrix.scales)
    return low if low == high else f"{low} to {high}"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3f} MB"
