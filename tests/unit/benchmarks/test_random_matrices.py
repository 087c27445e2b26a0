"""Random matrices have the stated pattern and obey the rules of stored matrices."""

from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.benchmarks import random_matrices
from sparsespeech.benchmarks.random_matrices import PATTERNS, Pattern, random_matrix
from sparsespeech.model_file.model import SparseMatrix
from sparsespeech.model_file.weight_rules import prove_matrix


def _draw(
    pattern: Pattern, shape: tuple[int, int] = (300, 200), density: float = 0.1, seed: int = 0
) -> SparseMatrix:
    return random_matrix(np.random.default_rng(seed), shape, density, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_reader_would_accept_it(pattern: Pattern) -> None:
    matrix = _draw(pattern)
    prove_matrix("random", matrix, (300, 200), wide=False)
    assert np.abs(matrix.value).min() == 48
    assert np.abs(matrix.value).max() == 127
    assert abs(np.sign(matrix.value).mean()) < 0.05


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_seed_gives_one_matrix_however_it_is_cut(
    pattern: Pattern, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _draw(pattern)
    monkeypatch.setattr(random_matrices, "_ENTRIES_AT_ONCE", 200 * 7)
    pieces = _draw(pattern)
    assert np.array_equal(whole.column, pieces.column)
    assert np.array_equal(whole.value, pieces.value)
    assert not np.array_equal(whole.column[:50], _draw(pattern, seed=1).column[:50])


def test_unstructured_nonzeros_are_everywhere() -> None:
    matrix = _draw("unstructured", (2000, 500), 0.04)
    assert matrix.nonzeros == pytest.approx(0.04 * 2000 * 500, rel=0.03)
    by_column = np.bincount(matrix.column, minlength=500)
    assert by_column.min() > 40
    assert by_column.max() < 130


def test_bank_balanced_rows_have_four_nonzeros_in_each_bank() -> None:
    columns = 2048
    matrix = _draw("bank-balanced", (64, columns), 0.04)
    banks = 20  # 2048 * 0.04 / 4, rounded
    edges = [columns * number // banks for number in range(banks + 1)]
    for row in range(64):
        found = matrix.column[matrix.row_start[row] : matrix.row_start[row + 1]]
        assert np.histogram(found, edges)[0].tolist() == [4] * banks
    assert np.unique(matrix.column).size > 0.7 * columns


def test_full_density_leaves_no_zero() -> None:
    for pattern in PATTERNS:
        assert _draw(pattern, (5, 12), 1.0).nonzeros == 60


@pytest.mark.parametrize("density", [0.0, -0.1, 1.5])
def test_an_impossible_density_is_refused(density: float) -> None:
    with pytest.raises(ValueError, match="density must be in"):
        _draw("unstructured", density=density)
