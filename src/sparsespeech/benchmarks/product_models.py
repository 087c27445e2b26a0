"""Models of a single matrix, to time one product through the engine's front door.

Axes: N input vectors, R rows, C columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.random_matrices import Pattern, random_matrix
from sparsespeech.graph import Graph, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.fixed_point import choose_multiplier
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file.model import (
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)
from sparsespeech.model_file.weight_rules import row_sums

ZERO_POINT = 128
_VECTOR_DEVIATION = 74.0  # of a number that is uniform over 0..255
_INPUT = InputQuantization(np.zeros(1), np.ones(1), 1.0, ZERO_POINT)


def random_product(
    rows: int, columns: int, density: float, *, pattern: Pattern = "unstructured", seed: int = 1
) -> SparseMatrix:
    """A random matrix [R, C]."""
    return random_matrix(np.random.default_rng(seed), (rows, columns), density, pattern)


def random_vectors(count: int, columns: int, *, seed: int = 2) -> NDArray[np.uint8]:
    """uint8[N, C], uniform over all 256 values."""
    return np.random.default_rng(seed).integers(0, 256, (count, columns), dtype=np.uint8)


def product_model(matrix: SparseMatrix) -> IntegerModel:
    """The accumulators of ``matrix`` (R3) as logits: an output layer and nothing else."""
    rows, columns = matrix.shape
    layer = OutputLayer("product", matrix, zero_point_bias(matrix), np.ones(1, dtype=np.float32))
    return _model(Graph((Output("product", columns, rows),)), (layer,), rows)


def requantized_product_model(matrix: SparseMatrix) -> IntegerModel:
    """The product and R4 to uint8, read by an output layer of one row.

    The engine widens logits to int64; for many rows and vectors that takes longer than the
    product. The one row has a weight for each result, so that no result can be wrong unseen.
    """
    rows, columns = matrix.shape
    linear = LinearLayer(
        "product",
        matrix,
        zero_point_bias(matrix),
        spreading_requantizer(matrix, ZERO_POINT),
        output_zero_point=ZERO_POINT,
        low=0,
        high=255,
    )
    graph = Graph((Linear("product", columns, rows), Output("reader", rows, 1)))
    return _model(graph, (linear, _reader(rows)), 1)


def lstm_model(direction: LstmDirection) -> IntegerModel:
    """A unidirectional LSTM and an output layer of one row that reads every output of it."""
    cells = direction.input_weights.shape[0] // 4
    projection = direction.projection.weights.shape[0] if direction.projection else None
    entry = Lstm(
        "lstm",
        direction.input_weights.shape[1],
        cells,
        bidirectional=False,
        projection=projection,
        peephole=direction.peephole is not None,
    )
    graph = Graph((entry, Output("reader", entry.outputs, 1)))
    layer = LstmLayer("lstm", direction, None, "concatenate")
    return _model(graph, (layer, _reader(entry.outputs)), 1)


def spreading_requantizer(matrix: SparseMatrix, spread: float) -> Requantizer:
    """R4 that maps twice the deviation of an accumulator of ``matrix`` to ``spread``.

    The inputs are those of :func:`random_vectors`.
    """
    squares = float((matrix.value.astype(np.float64) ** 2).sum()) / matrix.shape[0]
    deviation = max(1.0, float(np.sqrt(squares)) * _VECTOR_DEVIATION)
    multiplier, shift = choose_multiplier(spread / (2 * deviation))
    return Requantizer(np.array([multiplier]), np.array([shift]))


def zero_point_bias(matrix: SparseMatrix) -> NDArray[np.int64]:
    """R3: the zero point 128 of the input folded in, and no other bias; int64[R]."""
    return -ZERO_POINT * row_sums(matrix)


def _reader(columns: int) -> OutputLayer:
    """One row with a weight for each column."""
    weights = np.random.default_rng(3).integers(1, 128, columns, dtype=np.int8)
    row_start, column = np.array([0, columns]), np.arange(columns, dtype=np.int32)
    matrix = SparseMatrix((1, columns), row_start, column, weights)
    return OutputLayer("reader", matrix, np.zeros(1, np.int64), np.ones(1, np.float32))


def _model(graph: Graph, layers: tuple[IntegerLayer, ...], outputs: int) -> IntegerModel:
    return IntegerModel(
        graph=graph,
        layers=layers,
        labels=tuple(map(str, range(outputs - 1))),
        features={},
        input=_INPUT,
        tables=model_tables(),
    )
