"""Matrices of model files as the report sees them, against their dense form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.statistics import model_statistics
from sparsespeech.report.weights import ModelWeights, WeightMatrix, compress
from tests.random_models import random_integer_model


def dense_of(matrix: WeightMatrix) -> NDArray[np.float64]:
    dense = np.zeros(matrix.shape)
    for row in range(matrix.shape[0]):
        for place in range(matrix.row_start[row], matrix.row_start[row + 1]):
            dense[row, matrix.column[place]] = matrix.value[place]
    return dense


def weights_of(model: IntegerModel) -> list[WeightMatrix]:
    return list(ModelWeights(model, model_statistics(model)).matrices())


def test_compressed_matrix_is_the_dense_one(rng: np.random.Generator) -> None:
    dense = rng.normal(size=(7, 11)) * (rng.random((7, 11)) < 0.3)
    matrix = compress("x", dense)
    assert np.array_equal(dense_of(matrix), dense)
    assert matrix.sparsity == pytest.approx(np.mean(dense == 0))
    assert np.array_equal(matrix.rows(), np.nonzero(dense)[0])
    assert np.array_equal(matrix.row_nonzeros, (dense != 0).sum(axis=1))
    assert np.array_equal(matrix.column_nonzeros, (dense != 0).sum(axis=0))
    assert matrix.gate_sparsity() == ()
    assert not matrix.is_integer


def test_gate_sparsity_counts_quarters_of_the_rows(rng: np.random.Generator) -> None:
    dense = np.ones((8, 5))
    dense[2:4] = 0  # all of f
    dense[6, :2] = 0  # two of ten of o
    matrix = compress("layer4.forward.recurrent_weights", dense)
    assert matrix.gates == ("i", "f", "g", "o")
    assert matrix.gate_sparsity() == pytest.approx((0.0, 1.0, 0.0, 0.2))


def test_matrices_of_a_model_have_its_names_and_scales() -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=6, projection=4)
    scales = {"layer1.weights": 0.25}
    model = dataclasses.replace(model, quantization={"weight_scales": scales})
    found = {matrix.name: matrix for matrix in weights_of(model)}
    assert list(found) == [
        "layer1.weights",
        "layer2.weights",
        "layer3.forward.input_weights",
        "layer3.forward.recurrent_weights",
        "layer3.forward.projection.weights",
        "layer3.backward.input_weights",
        "layer3.backward.recurrent_weights",
        "layer3.backward.projection.weights",
        "layer4.weights",
        "layer5.weights",
    ]
    assert found["layer1.weights"].scale == 0.25
    assert found["layer2.weights"].scale is None
    assert found["layer3.forward.projection.weights"].gates == ()
    assert len(found["layer3.forward.input_weights"].gates) == 4
    assert all(matrix.is_integer for matrix in found.values())


def test_row_scales_are_no_one_scale() -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=6)
    facts = {"weight_scale_ranges": {"layer1.weights": [0.1, 0.2]}}
    matrix = weights_of(dataclasses.replace(model, quantization=facts))[0]
    assert matrix.scale is None
    assert matrix.scales == (0.1, 0.2)
