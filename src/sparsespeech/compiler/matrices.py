"""The weight matrices of a model under the names by which plans and programs call them.

Axes: R rows, C columns, H cells of one direction. Names are those of the model file's tensors:
``layer1.weights``, ``layer4.forward.input_weights`` [4H, C], ``layer4.backward.recurrent_weights``
[4H, H].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import (
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    Requantizer,
    SparseMatrix,
)


@dataclass(frozen=True, eq=False)
class RowConstants:
    """What a tail adds to a full sum and scales it by: R3's bias, R4's M and s; all int64[R].

    ``zero_point``, ``low`` and ``high`` are those of R4 in a fully connected layer; 0 in an LSTM,
    where R5 takes the place of the clamp.
    """

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    zero_point: int = 0
    low: int = 0
    high: int = 0


def matrix_of(model: IntegerModel, name: str) -> SparseMatrix:
    """The weights [R, C] called ``name``; raises CompileError for a name the model lacks."""
    layer, part = _find(model, name)
    if isinstance(layer, LinearLayer):
        return layer.weights
    input_part = part.endswith(".input_weights")
    direction = _direction(layer, part)
    return direction.input_weights if input_part else direction.recurrent_weights


def row_constants(model: IntegerModel, name: str) -> RowConstants:
    """Bias and requantizer of each row of the matrix ``name``, one entry a row in any model.

    Raises CompileError for a name the model lacks.
    """
    layer, part = _find(model, name)
    if isinstance(layer, LinearLayer):
        multiplier, shift = _a_row(layer.requantize, layer.bias.size)
        return RowConstants(
            layer.bias, multiplier, shift, layer.output_zero_point, layer.low, layer.high
        )
    direction = _direction(layer, part)
    if part.endswith(".input_weights"):
        bias, requantizer = direction.input_bias, direction.input_requantize
    else:
        bias, requantizer = direction.recurrent_bias, direction.recurrent_requantize
    return RowConstants(bias, *_a_row(requantizer, bias.size))


def _find(model: IntegerModel, name: str) -> tuple[LinearLayer | LstmLayer, str]:
    for layer in model.layers:
        part = name.removeprefix(f"{layer.name}.")
        if part != name and part in _parts(layer):
            assert isinstance(layer, LinearLayer | LstmLayer)
            return layer, part
    known = ", ".join(f"{layer.name}.{part}" for layer in model.layers for part in _parts(layer))
    raise CompileError(f"the model has no matrix {name!r} for an accelerator; it has: {known}")


def _parts(layer: IntegerLayer) -> tuple[str, ...]:
    if isinstance(layer, LinearLayer):
        return ("weights",)
    if isinstance(layer, LstmLayer):
        directions = ("forward",) if layer.backward is None else ("forward", "backward")
        kinds = ("input_weights", "recurrent_weights")
        return tuple(f"{direction}.{kind}" for direction in directions for kind in kinds)
    return ()


def _direction(layer: LstmLayer, part: str) -> LstmDirection:
    backward = layer.backward if part.startswith("backward.") else None
    return backward or layer.forward


def _a_row(requantizer: Requantizer, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    multiplier = np.broadcast_to(requantizer.multiplier, (rows,))
    return multiplier, np.broadcast_to(requantizer.shift, (rows,))
