"""Few shared values in the matrices of an integer model; needs no float weights and no torch.

Axes: R rows, C columns, n nonzeros, K values of a codebook.

Each matrix gets its own codebook over its stored integers. Biases hold the zero point of the input
times the sum of the row's weights (rule R3), so they follow the weights; scales and multipliers
stay. Which weights are stored does not change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.integer_arithmetic.fixed_point import LSTM_OUTPUT_ZERO_POINT
from sparsespeech.model_file.model import (
    IntegerArray,
    IntegerLayer,
    IntegerModel,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    SparseMatrix,
)
from sparsespeech.model_file.tensors import DIRECTIONS
from sparsespeech.model_file.validate import validate_model
from sparsespeech.model_file.weight_rules import row_sums
from sparsespeech.quantization.codebook import Initialisation, build_codebook
from sparsespeech.quantization.shared_matrix import SharedMatrix


@dataclass(frozen=True, eq=False)
class SharedModel:
    """The model with shared weights, and facts about each matrix."""

    model: IntegerModel
    matrices: tuple[SharedMatrix, ...]


def share_weights(
    model: IntegerModel, size: int, initialisation: Initialisation = "optimal"
) -> SharedModel:
    """Give each matrix of ``model`` at most ``size`` different values.

    Raises ModelFileError if the changed weights break a bound of the arithmetic.
    """
    sharer = _Sharer(size, initialisation, wide=model.activation_bits == 16)
    layers = []
    zero_point = model.input.zero_point
    for layer in model.layers:
        changed, zero_point = sharer.layer(layer, zero_point)
        layers.append(changed)
    facts = {
        **(model.quantization or {}),
        "codebook": {"values": size, "initialisation": initialisation, "of": "stored integers"},
    }
    shared = replace(model, layers=tuple(layers), quantization=facts)
    validate_model(shared)
    return SharedModel(shared, tuple(sharer.matrices))


class _Sharer:
    """Walks the layers; collects facts on the way."""

    def __init__(self, size: int, initialisation: Initialisation, *, wide: bool) -> None:
        self.matrices: list[SharedMatrix] = []
        self._size = size
        self._initialisation = initialisation
        self._recurrent_zero_point = 0 if wide else LSTM_OUTPUT_ZERO_POINT

    def layer(self, layer: IntegerLayer, zero_point: int) -> tuple[IntegerLayer, int]:
        """The layer with shared weights, and the zero point of its output."""
        if isinstance(layer, LstmLayer):
            forward, backward = (
                None if part is None else self._direction(f"{layer.name}.{word}", part, zero_point)
                for word, part in zip(DIRECTIONS, (layer.forward, layer.backward), strict=True)
            )
            assert forward is not None  # only the backward direction may be absent
            shared = replace(layer, forward=forward, backward=backward)
            projection = forward.projection
            zero_point = projection.output_zero_point if projection else self._recurrent_zero_point
            return shared, zero_point
        weights = self._matrix(f"{layer.name}.weights", layer.weights)
        bias = _moved_bias(layer.bias, layer.weights, weights, zero_point)
        output = 0 if isinstance(layer, OutputLayer) else layer.output_zero_point
        return replace(layer, weights=weights, bias=bias), output

    def _direction(self, name: str, part: LstmDirection, zero_point: int) -> LstmDirection:
        fed_back, projection = self._recurrent_zero_point, part.projection
        inputs = self._matrix(f"{name}.input_weights", part.input_weights)
        recurrent = self._matrix(f"{name}.recurrent_weights", part.recurrent_weights)
        if projection is not None:
            weights = self._matrix(f"{name}.projection.weights", projection.weights)
            bias = _moved_bias(projection.bias, projection.weights, weights, fed_back)
            projection = replace(projection, weights=weights, bias=bias)
            fed_back = projection.output_zero_point
        return replace(
            part,
            input_weights=inputs,
            recurrent_weights=recurrent,
            input_bias=_moved_bias(part.input_bias, part.input_weights, inputs, zero_point),
            recurrent_bias=_moved_bias(
                part.recurrent_bias, part.recurrent_weights, recurrent, fed_back
            ),
            projection=projection,
        )

    def _matrix(self, name: str, matrix: SparseMatrix) -> SparseMatrix:
        different, codes, counts = np.unique(matrix.value, return_inverse=True, return_counts=True)
        shared = different
        if different.size > self._size:
            codebook = build_codebook(different, self._size, self._initialisation, counts)
            shared = _stored_integers(codebook.quantize(different), matrix.value.dtype)
        value = shared[codes]
        value.setflags(write=False)
        self.matrices.append(SharedMatrix.of(name, matrix.value, value))
        return replace(matrix, value=value)


def _stored_integers(values: NDArray[np.float64], dtype: np.dtype[Any]) -> IntegerArray:
    """Rounded half up (R13); never 0, which no file stores."""
    rounded = np.floor(values + 0.5)
    return np.where(rounded == 0, np.where(values < 0, -1, 1), rounded).astype(dtype)


def _moved_bias(
    bias: NDArray[np.int64], before: SparseMatrix, after: SparseMatrix, zero_point: int
) -> NDArray[np.int64]:
    """R3: the zero point of the input times the sum of the row's weights, taken anew."""
    moved = bias + zero_point * (row_sums(before) - row_sums(after))
    moved.setflags(write=False)
    return moved
