"""Models of one matrix compute that product, and the reader row sees every result."""

from __future__ import annotations

import numpy as np

from sparsespeech.benchmarks.product_models import (
    lstm_model,
    product_model,
    random_product,
    random_vectors,
    requantized_product_model,
)
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import LstmLayer, SparseMatrix
from tests.random_models import random_integer_model


def _dense(matrix: SparseMatrix) -> np.ndarray:
    dense = np.zeros(matrix.shape, dtype=np.int64)
    for row in range(matrix.shape[0]):
        part = slice(matrix.row_start[row], matrix.row_start[row + 1])
        dense[row, matrix.column[part]] = matrix.value[part]
    return dense


def test_the_product_is_that_of_centred_vectors() -> None:
    matrix = random_product(40, 30, 0.2)
    vectors = random_vectors(9, 30)
    expected = (vectors.astype(np.int64) - 128) @ _dense(matrix).T
    assert np.array_equal(ReferenceExecutor(product_model(matrix)).run(vectors), expected)


def test_requantized_results_spread_and_all_are_read() -> None:
    matrix = random_product(64, 200, 0.2)
    vectors = random_vectors(50, 200)
    model = requantized_product_model(matrix)
    executor = ReferenceExecutor(model)
    results = executor._layers[0][1](vectors)
    assert 30 < results.std() < 100
    assert np.mean((results == 0) | (results == 255)) < 0.1
    logits = executor.run(vectors)
    reader = _dense(model.layers[-1].weights)[0]
    assert (reader > 0).all()
    assert np.array_equal(logits[:, 0], results.astype(np.int64) @ reader)


def test_an_lstm_is_read_whole() -> None:
    layer = random_integer_model(np.random.default_rng(0), hidden=10, bidirectional=False).layers[2]
    assert isinstance(layer, LstmLayer)
    model = lstm_model(layer.forward)
    x = random_vectors(6, 10)
    executor = ReferenceExecutor(model)
    outputs = executor._layers[0][1](x).astype(np.int64)
    assert np.array_equal(executor.run(x)[:, 0], outputs @ _dense(model.layers[-1].weights)[0])


def test_seeds_repeat() -> None:
    assert np.array_equal(random_vectors(3, 4), random_vectors(3, 4))
    same = random_matrix(np.random.default_rng(1), (5, 8), 0.5, "unstructured")
    assert np.array_equal(random_product(5, 8, 0.5).column, same.column)
