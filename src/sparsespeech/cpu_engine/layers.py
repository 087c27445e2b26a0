"""The integer model as the native engine takes it: one plain dictionary a layer.

Axes: R rows, C columns, H cells of one direction. The names of the entries are those of
``native/include/sparsespeech/integer_model.h``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.model_file.model import (
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)

Description = dict[str, Any]


def describe_layers(model: IntegerModel) -> list[Description]:
    """The layers of ``model``, arrays in C order and of the types of ``SparseMatrix`` and others.

    Raises UnsupportedLayerError for what the engine does not run: models of wide mode (R10),
    convolutions and summed directions (R11).
    """
    if model.activation_bits != 8:
        raise UnsupportedLayerError(
            f"the model has {model.activation_bits}-bit activations (rule R10), the CPU engine "
            "runs 8; use --backend reference, or quantize the checkpoint to 8 bits"
        )
    return [_layer(layer) for layer in model.layers]


def _layer(layer: IntegerLayer) -> Description:
    match layer:
        case LinearLayer():
            return {
                "kind": "linear",
                "name": layer.name,
                "weights": _matrix(layer.weights, layer.bias),
                **_rescale("", layer.requantize),
                "zero_point": layer.output_zero_point,
                "low": layer.low,
                "high": layer.high,
            }
        case LstmLayer():
            return _lstm(layer)
        case OutputLayer():
            weights = _matrix(layer.weights, layer.bias)
            return {"kind": "output", "name": layer.name, "weights": weights}
    raise UnsupportedLayerError(
        f"layer {layer.name!r} is a {type(layer).__name__} (rule R11), which the CPU engine does "
        "not run; use --backend reference"
    )


def _lstm(layer: LstmLayer) -> Description:
    directions = [layer.forward]
    if layer.backward is not None:
        directions.append(layer.backward)
        if layer.merge != "concatenate":
            raise UnsupportedLayerError(
                f"layer {layer.name!r} merges its directions by {layer.merge!r} (rule R11), the "
                "CPU engine only concatenates them; use --backend reference"
            )
    return {
        "kind": "lstm",
        "name": layer.name,
        "directions": [_direction(direction) for direction in directions],
    }


def _direction(direction: LstmDirection) -> Description:
    description = {
        "input": _matrix(direction.input_weights, direction.input_bias),
        "recurrent": _matrix(direction.recurrent_weights, direction.recurrent_bias),
        **_rescale("input_", direction.input_requantize),
        **_rescale("recurrent_", direction.recurrent_requantize),
    }
    if direction.peephole is not None:
        description["peephole"] = {
            "weights": _array(direction.peephole.weights, np.int16),
            **_rescale("", direction.peephole.requantize),
        }
    if direction.projection is not None:
        description["projection"] = {
            "weights": _matrix(direction.projection.weights, direction.projection.bias),
            **_rescale("", direction.projection.requantize),
            "zero_point": direction.projection.output_zero_point,
        }
    return description


def _matrix(weights: SparseMatrix, bias: NDArray[np.int64]) -> Description:
    rows, columns = weights.shape
    return {
        "rows": rows,
        "columns": columns,
        "row_start": _array(weights.row_start, np.int64),
        "column": _array(weights.column, np.int32),
        "value": _array(weights.value, np.int8),
        "bias": _array(bias, np.int64),
    }


def _rescale(prefix: str, scales: Requantizer) -> Description:
    return {
        f"{prefix}multiplier": _array(scales.multiplier, np.int64),
        f"{prefix}shift": _array(scales.shift, np.int64),
    }


def _array(values: NDArray[Any], kind: type[np.integer[Any]]) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=kind)


def input_width(layers: list[Description]) -> int:
    """W: inputs of the first layer."""
    first = layers[0]
    weights = first["weights"] if "weights" in first else first["directions"][0]["input"]
    return int(weights["columns"])


def count_nonzeros(description: object) -> int:
    """Stored weights of all matrices in a description or a list of them."""
    if isinstance(description, list):
        return sum(map(count_nonzeros, description))
    if not isinstance(description, dict):
        return 0
    if "row_start" in description:
        return int(description["value"].size)
    return sum(map(count_nonzeros, description.values()))
