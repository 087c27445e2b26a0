"""One core alone: figures by hand. Passes are longer than loads of 32 cycles, which hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.benchmarks.accelerator_core import core_row, first_columns, input_weights
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.model_file.model import SparseMatrix

CONFIG = TARGETS["mau-stratix10"]


def sparse(array: NDArray[np.int8]) -> SparseMatrix:
    rows, columns = np.nonzero(array)
    start = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(array)))))
    return SparseMatrix(array.shape, start, columns.astype(np.int32), array[rows, columns])


def test_one_full_bank_holds_all_up() -> None:
    array = np.zeros((256, 1024), dtype=np.int8)
    array[:, ::16] = 1  # 4 in each bank: a cycle a row group
    assert core_row(sparse(array), "linear", CONFIG)["cycles_per_row_group"] == 1.0
    array[0::4, 64:128:8] = 1  # lane 0, window 1: 8 in each row, the other 63 banks 4
    row = core_row(sparse(array), "linear", CONFIG)
    assert row["cycles_per_row_group"] == 2.0
    mean = (63 * 4 + 8) / 64
    assert row["fullest_bank_over_mean"] == pytest.approx(8 / mean)
    assert row["fullest_lane_over_mean"] == pytest.approx((15 * 4 + 8) / 16 / mean)
    assert row["words_of_longest_stream"] == 128
    assert row["fewest_possible"] == pytest.approx(65 / 64)  # 16,640 weights, 256 multipliers


def test_gates_of_a_unit_are_lanes() -> None:
    """Rows of an LSTM are gate after gate, lanes a gate each; of a linear layer in turn."""
    array = np.zeros((256, 1024), dtype=np.int8)
    array[:, ::16] = 1
    array[:64, ::8] = 1  # the input gate has twice as many
    gates = core_row(sparse(array), "gate_input", CONFIG)
    assert gates["fullest_lane_over_mean"] == pytest.approx(2 / (5 / 4))
    assert gates["cycles_per_row_group"] == 2.0
    rows = core_row(sparse(array), "linear", CONFIG)
    assert rows["fullest_lane_over_mean"] == 1.0
    assert rows["cycles_per_row_group"] == pytest.approx(5 / 4)


def test_rows_that_do_not_fill_the_last_row_group() -> None:
    array = np.ones((10, 1024), dtype=np.int8)
    row = core_row(sparse(array), "linear", CONFIG)
    assert row["cycles_per_row_group"] == 16.0  # 64 weights of a window, 4 a cycle
    assert row["fullest_bank_over_mean"] == pytest.approx(3 / 2.5)


def test_the_first_columns_of_the_first_lstm() -> None:
    matrix = random_matrix(np.random.default_rng(1), (9, 31), 0.4, "unstructured")
    cut = first_columns(matrix, 13)
    whole, part = (np.zeros(shape, dtype=np.int8) for shape in ((9, 31), (9, 13)))
    for array, source in ((whole, matrix), (part, cut)):
        row = np.repeat(np.arange(9), np.diff(source.row_start))
        array[row, source.column] = source.value
    assert np.array_equal(part, whole[:, :13])
    model = make_random_model(16)  # 32 columns
    assert input_weights(model, CONFIG) is None
    narrow = replace(CONFIG, window_columns=2)
    found = input_weights(model, narrow)
    assert found is not None
    assert found.shape == (64, 32)
    assert found is model.layers[3].forward.input_weights  # type: ignore[union-attr]  # an LSTM
