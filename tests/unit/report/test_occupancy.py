"""Row banks and their cycles against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsespeech.model_file.model import SparseMatrix
from sparsespeech.model_file.statistics import bank_occupancy
from sparsespeech.report.occupancy import (
    HEADINGS,
    occupancy,
    occupancy_picture,
    occupancy_row,
    occupancy_total,
)
from sparsespeech.report.weights import WeightMatrix, compress


def random_matrix(seed: int, rows: int, columns: int, density: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((rows, columns)) < density).astype(float)


@settings(deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 9),
    st.sampled_from([16, 100, 1023, 1024, 1025, 2048, 2500]),
    st.sampled_from([0.0, 0.03, 0.07, 0.5]),
)
def test_cycles_are_those_of_a_loop_over_rows(
    seed: int, rows: int, columns: int, density: float
) -> None:
    dense = random_matrix(seed, rows, columns, density)
    found = occupancy(compress("x", dense))
    cycles, fours, over, slots, banks = [], [], 0, 0, range(0, columns, 1024)
    for start in banks:
        width = min(1024, columns - start)
        limit = math.ceil(width * 64 / 1024)
        spent = []
        for row in range(rows):
            count = np.count_nonzero(dense[row, start : start + width])
            over += count > limit
            spent.append(max(1, math.ceil(count / limit)))
            slots += spent[-1] * limit
        cycles += spent
        fours += [max(spent[row : row + 4]) for row in range(0, rows, 4)]
    assert found.share_over == pytest.approx(over / (rows * len(banks)))
    assert found.extra_by_rows == pytest.approx(np.mean(cycles) - 1)
    assert found.extra_by_fours == pytest.approx(np.mean(fours) - 1)
    assert found.busy == pytest.approx(dense.sum() / slots)


def test_counts_agree_with_the_statistics_of_model_files() -> None:
    matrix: WeightMatrix = compress("x", random_matrix(1, 40, 2500, 0.06))
    counted = bank_occupancy(
        SparseMatrix(matrix.shape, matrix.row_start, matrix.column, matrix.value.astype(np.int8))
    )
    found = occupancy(matrix)
    assert counted.largest == found.counts.max()
    assert counted.mean == pytest.approx(found.counts.mean())
    assert counted.above_limit == (found.counts > 64).sum()
    assert found.limits.tolist() == [64, 64, 29]  # 452 columns left: 1 in 16, rounded up


def test_total_weighs_matrices_by_their_cycles() -> None:
    full = occupancy(compress("full", np.ones((8, 32))))  # 16 cycles a row instead of 1
    thin = occupancy(compress("thin", np.eye(24, 32)))
    row = occupancy_total([full, thin])
    assert len(row) == len(HEADINGS) == len(occupancy_row(full))
    assert row[6:8] == ("8", "+375.0%")  # (8 * 15 + 24 * 0) / 32 rows


def test_picture_names_limit_and_share() -> None:
    picture = occupancy_picture(occupancy(compress("name", np.ones((4, 32)))))
    assert "100.0% of 4 row banks are over the limit" in picture
    assert "limit 2" in picture


def test_narrow_last_bank_is_scaled_in_the_picture() -> None:
    picture = occupancy_picture(occupancy(compress("x", random_matrix(0, 3, 1100, 0.1))))
    assert "narrower banks scaled up" in picture
