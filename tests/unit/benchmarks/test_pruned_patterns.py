"""Other places for the same network's nonzeros."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.benchmarks.pruned_patterns import (
    PATTERNS,
    PatternName,
    largest_weights,
    smallest_density,
    with_pattern,
)
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import LstmLayer, SparseMatrix
from sparsespeech.model_file.reader import read_model


def dense(matrix: SparseMatrix) -> NDArray[np.int64]:
    array = np.zeros(matrix.shape, dtype=np.int64)  # [R, C]
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
    array[row, matrix.column] = matrix.value
    return array


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_the_largest_weights_stay(seed: int, density: float) -> None:
    matrix = random_matrix(np.random.default_rng(seed), (7, 9), 0.6, "unstructured")
    before, after = (
        dense(matrix),
        dense(largest_weights(matrix, density, np.random.default_rng(seed))),
    )
    kept = after != 0
    assert np.array_equal(after[kept], before[kept])
    assert kept.sum() == min(matrix.nonzeros, round(density * 63))
    gone = (before != 0) & ~kept
    if kept.any() and gone.any():
        assert np.abs(before[kept]).min() >= np.abs(before[gone]).max()


def test_of_equal_weights_no_row_is_preferred() -> None:
    matrix = random_matrix(np.random.default_rng(3), (200, 50), 0.5, "unstructured")
    equal = replace(matrix, value=np.full_like(matrix.value, 9))
    after = dense(largest_weights(equal, 0.25, np.random.default_rng(4))) != 0
    assert after.sum() == 2500
    assert 0.45 < after[:100].sum() / 2500 < 0.55


@pytest.mark.parametrize("pattern", PATTERNS)
def test_all_matrices_before_the_output_layer_change(pattern: PatternName) -> None:
    model = read_model(resolve_model("english-small"))
    assert smallest_density(model) == pytest.approx(0.13, abs=1e-3)
    changed = with_pattern(model, pattern, 0.05)
    assert changed.graph == model.graph
    assert changed.layers[-1] is model.layers[-1]
    lstm = changed.layers[3]
    assert isinstance(lstm, LstmLayer)
    assert lstm.backward is not None
    for direction in (lstm.forward, lstm.backward):
        for matrix in (direction.input_weights, direction.recurrent_weights):
            share = matrix.nonzeros / (matrix.shape[0] * matrix.shape[1])
            assert share == pytest.approx(0.05, rel=0.05)  # whole banks of 4
