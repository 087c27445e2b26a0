from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.graph import Conv2d, Lstm, deepspeech
from sparsespeech.model_file.statistics import (
    bank_occupancy,
    count_parameters,
    layer_matrices,
    model_statistics,
)
from sparsespeech.model_file.writer import write_model
from tests.random_models import random_integer_model, sparse_from_dense


def test_table_i_of_the_mau_paper() -> None:
    counts = [count_parameters(layer) for layer in deepspeech(2048).layers]
    in_millions = [round(count / 1e6, 2) for count in counts]
    assert in_millions == [1.01, 4.2, 8.39, 100.7, 8.39, 0.06]
    assert round(count_parameters(deepspeech(2048)) / 1e6, 2) == 122.75


def test_lstmp_of_the_ese_deck() -> None:
    layer = Lstm("lstm1", 153, 1024, bidirectional=False, projection=512, peephole=True)
    input_part, recurrent_part = 4 * 1024 * 153, 4 * 1024 * 512
    assert count_parameters(layer) == (
        input_part + recurrent_part + 2 * 4 * 1024 + 3 * 1024 + 512 * 1024
    )


def test_convolution() -> None:
    assert count_parameters(Conv2d("c", 3, 8, (5, 7), (1, 1), (0, 0))) == 8 * (3 * 35 + 1)


@pytest.mark.parametrize(
    "kind",
    [
        {},
        {"wide": True},
        {"projection": 5, "peephole": True},
        {"convolution": True, "bidirectional": False},
    ],
)
def test_totals_against_dense_counting(kind: dict[str, bool], tmp_path: Path) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=8, sparsity=0.6, **kind)
    statistics = model_statistics(model)
    entries, nonzeros = 0, 0
    for layer in model.layers:
        for _, matrix in layer_matrices(layer):
            dense = np.zeros(matrix.shape)
            for row in range(matrix.shape[0]):
                span = slice(matrix.row_start[row], matrix.row_start[row + 1])
                dense[row, matrix.column[span]] = matrix.value[span]
            entries += dense.size
            nonzeros += np.count_nonzero(dense)
    assert statistics.nonzeros == nonzeros
    assert statistics.sparsity == pytest.approx(1 - nonzeros / entries)
    assert statistics.parameters == count_parameters(model.graph)
    assert statistics.bytes_dense_float32 == 4 * statistics.parameters
    write_model(model, tmp_path)
    assert statistics.bytes_stored == (tmp_path / "model.safetensors").stat().st_size
    assert sum(layer.bytes_stored for layer in statistics.layers) < statistics.bytes_stored


def test_bank_occupancy() -> None:
    dense = np.zeros((3, 2100), dtype=np.int64)
    dense[0, :70] = 1  # bank 0 of row 0
    dense[1, 1020:1030] = 2  # four in bank 0, six in bank 1
    dense[2, 2048:2100] = 3  # the narrow last bank
    dense[2, :64] = 4
    occupancy = bank_occupancy(sparse_from_dense(dense))
    assert (occupancy.largest, occupancy.above_limit) == (70, 1)
    assert occupancy.mean == pytest.approx((70 + 10 + 52 + 64) / 9)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        (None, None),
        ({"weight_scales": {"layer1.weights": 0.25}}, (0.25, 0.25)),
        ({"weight_scale_ranges": {"layer1.weights": [0.25, 0.5]}}, (0.25, 0.5)),
        ({"weight_scales": {"layer2.weights": 0.25}}, None),
        ({"weight_scales": "\x1b[2J"}, None),
        ({"weight_scales": {"layer1.weights": "0.25"}}, None),
        ({"weight_scale_ranges": {"layer1.weights": [0.25]}}, None),
    ],
)
def test_weight_scales_are_shown_where_the_file_has_them(
    facts: dict[str, object] | None, shown: tuple[float, float] | None
) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=3)
    model = replace(model, quantization=facts)
    matrices = [matrix for layer in model_statistics(model).layers for matrix in layer.matrices]
    assert matrices[0].weight_scales == shown
    assert {matrix.weight_scales for matrix in matrices[2:]} == {None}
