"""The same network with its nonzeros in other places: random, bank-balanced, or by magnitude.

Axes: R rows, C columns, H cells. Only where nonzeros are changes the cycles of an accelerator, so
these models are for timing: biases stay as they were, and what the networks say is noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.model_file.model import (
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    SparseMatrix,
)

PatternName = Literal["random", "magnitude", "bank-balanced"]
PATTERNS: tuple[PatternName, ...] = ("magnitude", "random", "bank-balanced")
Change = Callable[[SparseMatrix], SparseMatrix]


def with_pattern(
    model: IntegerModel, pattern: PatternName, density: float, *, seed: int = 1
) -> IntegerModel:
    """``model`` with every accelerated matrix at ``density``, 0 to 1.

    ``magnitude`` keeps the largest weights of the matrix where it stands, as pruning does, so that
    ``density`` can only be that of the model or less; the others draw new matrices.
    """
    rng = np.random.default_rng(seed)

    def change(matrix: SparseMatrix) -> SparseMatrix:
        if pattern == "magnitude":
            return largest_weights(matrix, density, rng)
        kind: Literal["unstructured", "bank-balanced"] = (
            "unstructured" if pattern == "random" else "bank-balanced"
        )
        return random_matrix(rng, matrix.shape, density, kind)

    return replace(model, layers=tuple(changed_matrices(layer, change) for layer in model.layers))


def largest_weights(matrix: SparseMatrix, density: float, rng: np.random.Generator) -> SparseMatrix:
    """The share ``density`` of all weights [R, C] with the largest magnitudes, or all there are.

    Of equal integers chance says which stay, as the float weights behind them would: by their order
    the first rows would be fuller.
    """
    wanted = round(density * matrix.shape[0] * matrix.shape[1])
    if wanted >= matrix.nonzeros:
        return matrix
    magnitude = np.abs(matrix.value.astype(np.int32))
    order = np.lexsort((rng.random(matrix.nonzeros, dtype=np.float32), -magnitude))
    kept = np.zeros(matrix.nonzeros, dtype=np.bool_)
    kept[order[:wanted]] = True
    before: NDArray[np.int64] = np.concatenate(([0], np.cumsum(kept)))
    return SparseMatrix(
        matrix.shape, before[matrix.row_start], matrix.column[kept], matrix.value[kept]
    )


def smallest_density(model: IntegerModel) -> float:
    """Of the matrices of layers before the output layer: what ``magnitude`` can start from."""
    densities: list[float] = []

    def look(matrix: SparseMatrix) -> SparseMatrix:
        densities.append(matrix.nonzeros / (matrix.shape[0] * matrix.shape[1]))
        return matrix

    for layer in model.layers:
        changed_matrices(layer, look)
    return min(densities)


def changed_matrices(layer: IntegerLayer, change: Change) -> IntegerLayer:
    """``layer`` with ``change`` of its matrices; the output layer and others stay as they are."""
    if isinstance(layer, LinearLayer):
        return replace(layer, weights=change(layer.weights))
    if isinstance(layer, LstmLayer):
        backward = None if layer.backward is None else _direction(layer.backward, change)
        return replace(layer, forward=_direction(layer.forward, change), backward=backward)
    return layer


def _direction(direction: LstmDirection, change: Change) -> LstmDirection:
    return replace(
        direction,
        input_weights=change(direction.input_weights),
        recurrent_weights=change(direction.recurrent_weights),
    )
