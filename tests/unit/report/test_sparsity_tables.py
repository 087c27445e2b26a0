"""Tables count what the matrices hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparsespeech.report.sparsity_tables import (
    matrix_table,
    scale_table,
    summarise,
    total_sparsity,
)
from sparsespeech.report.weights import compress


def test_summary_counts_empty_rows_and_unused_columns() -> None:
    dense = np.array([[0.0, 3.0, 0.0], [0.0, 0.0, 0.0], [0.0, -4.0, 0.0], [0.0, 0.0, 0.0]])
    summary = summarise(compress("x", dense))
    assert (summary.nonzeros, summary.empty_rows, summary.unused_columns) == (2, 2, 2)
    assert (summary.largest, summary.distinct) == (4.0, 2)
    assert summary.deviation == pytest.approx(np.sqrt(12.5))
    assert summary.sparsity == pytest.approx(10 / 12)


def test_total_weighs_matrices_by_their_entries() -> None:
    summaries = [summarise(compress("a", np.eye(2))), summarise(compress("b", np.ones((4, 4))))]
    assert total_sparsity(summaries) == pytest.approx(2 / 20)


def test_gates_have_columns_of_their_own() -> None:
    dense = np.ones((8, 5))
    dense[2:4] = 0
    table = matrix_table([summarise(compress("layer4.forward.input_weights", dense))])
    assert "gate f" in table
    assert '--share:100.00%">100.0%' in table  # f is empty
    assert '--share:25.00%">25.00%' in table  # a quarter of the matrix


@pytest.mark.parametrize(
    ("scales", "shown"),
    [((0.5, 0.5), "5.000e-01"), ((0.25, 0.5), "2.500e-01 to 5.000e-01"), (None, "unknown")],
)
def test_scales_are_shown_as_the_file_says(scales: tuple[float, float] | None, shown: str) -> None:
    matrix = compress("x", np.array([[2.0, -4.0]]))
    matrix = dataclasses.replace(matrix, value=matrix.value.astype(np.int8), scales=scales)
    table = scale_table([summarise(matrix)])
    assert f">{shown}<" in table
    assert (">±2.0000<" in table) == (scales == (0.5, 0.5))
