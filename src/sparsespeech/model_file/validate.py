"""What is proved of every integer model, before it is written and after it is read.

Axes: R rows, C columns, n nonzeros, H cells of one direction, F coefficients, V labels.
Rules F8 to F23 are those of ``format.md``, rules R1 to R13 those of the integer arithmetic.
After :func:`validate_model` an executor needs no check: every index is in range, no accumulator
can overflow in any order of addition, every multiplier, shift, zero point and table is legal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.graph import Conv2d, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.fixed_point import (
    LSTM_OUTPUT_ZERO_POINT,
    PEEPHOLE_LIMIT,
)
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file.graph_rules import prove_graph
from sparsespeech.model_file.manifest import FORMAT_VERSIONS
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    OutputLayer,
)
from sparsespeech.model_file.weight_rules import (
    prove_accumulator,
    prove_each,
    prove_matrix,
    prove_requantizer,
    row_sums,
)

_LAYER_OF = {Linear: LinearLayer, Conv2d: ConvolutionLayer, Lstm: LstmLayer, Output: OutputLayer}
_CELL_MAGNITUDE = 32768  # largest |c| of R7


def validate_model(model: IntegerModel) -> None:
    """Prove all rules; raises one ModelFileError that names tensor and rule."""
    if model.encoding not in FORMAT_VERSIONS:
        raise ModelFileError(
            f"model: encoding {model.encoding!r} is unknown; known: {', '.join(FORMAT_VERSIONS)} "
            "(rule F7)"
        )
    prove_graph(model.graph, model.labels, model.features)
    if model.activation_bits not in (8, 16):
        raise ModelFileError(
            f"quantization: activation_bits must be 8 or 16, got {model.activation_bits} (rule F11)"
        )
    wide = model.activation_bits == 16
    prove_tables(model.tables, model.activation_bits)
    prove_input(model.input, int(model.features["coefficients"]), wide=wide)
    if len(model.layers) != len(model.graph.layers):
        raise ModelFileError(
            f"graph: describes {len(model.graph.layers)} layers, the model holds "
            f"{len(model.layers)} (rule F8)"
        )
    zero_point = model.input.zero_point
    for described, layer in zip(model.graph.layers, model.layers, strict=True):
        if type(layer) is not _LAYER_OF[type(described)] or layer.name != described.name:
            raise ModelFileError(
                f"graph layer {described.name!r}: the model holds the "
                f"{type(layer).__name__} {layer.name!r} there (rule F8)"
            )
        zero_point = _prove_layer(described, layer, zero_point, wide)


def prove_tables(tables: dict[str, NDArray[np.int16]], activation_bits: int) -> None:
    """Rule F21: sigmoid tables equal, entry by entry, to those of R6 (R10 in wide mode)."""
    expected = model_tables(activation_bits)
    if set(tables) != set(expected):
        raise ModelFileError(
            f"tensor 'tables': must be {sorted(expected)}, got {sorted(tables)} (rule F21)"
        )
    for name, table in expected.items():
        given = tables[name]
        if given.dtype != np.int16 or given.shape != table.shape:
            raise ModelFileError(
                f"tensor 'tables.{name}': is {given.dtype.name}"
                f"{list(given.shape)}, expected int16{list(table.shape)} "
                "(rule F21)"
            )
        wrong = np.flatnonzero(given != table)
        if wrong.size:
            raise ModelFileError(
                f"tensor 'tables.{name}': entry {wrong[0]} is {given[wrong[0]]}, "
                f"rule R6 gives {table[wrong[0]]} (rule F21)"
            )


def prove_input(quantization: InputQuantization, coefficients: int, *, wide: bool) -> None:
    """Rule F22: finite mean, finite positive deviation and scale, zero point in range."""
    for name in ("mean", "deviation"):
        values = getattr(quantization, name)
        if values.dtype != np.float64 or values.shape != (coefficients,):
            raise ModelFileError(
                f"tensor 'input.{name}': is {values.dtype.name}"
                f"{list(values.shape)}, expected float64[{coefficients}] "
                "(rule F22)"
            )
    prove_each(
        "input.mean", np.isfinite(quantization.mean), quantization.mean, "must be finite", "F22"
    )
    positive = np.isfinite(quantization.deviation) & (quantization.deviation > 0)
    prove_each(
        "input.deviation", positive, quantization.deviation, "must be finite and above 0", "F22"
    )
    if not (np.isfinite(quantization.scale) and quantization.scale > 0):
        raise ModelFileError(
            f"tensor 'input.scale': {quantization.scale} must be finite and above 0 (rule F22)"
        )
    _prove_zero_point("input", quantization.zero_point, wide)


def _prove_layer(described: Layer, layer: IntegerLayer, zero_point: int, wide: bool) -> int:
    """Prove one layer whose input has ``zero_point``; return the zero point of its output."""
    if isinstance(described, Lstm) and isinstance(layer, LstmLayer):
        return _prove_lstm(described, layer, wide)
    if isinstance(layer, LstmLayer) or isinstance(described, Lstm):
        raise ModelFileError(f"graph layer {described.name!r}: is not the model's (rule F8)")
    if isinstance(described, Conv2d):
        patch = described.input_channels * described.kernel[0] * described.kernel[1]
        shape = (described.output_channels, patch)
    else:
        shape = (described.outputs, described.inputs)
    name = f"{layer.name}.weights"
    prove_matrix(name, layer.weights, shape, wide=wide)
    bound = prove_accumulator(name, layer.weights, f"{layer.name}.bias", layer.bias, wide=wide)
    if isinstance(layer, OutputLayer):
        _prove_logit_scale(layer)
        return 0
    prove_requantizer(f"{layer.name}.requantize", layer.requantize, bound)
    _prove_clamp(layer, wide)
    if isinstance(layer, ConvolutionLayer) and layer.input_zero_point != zero_point:
        raise ModelFileError(
            f"quantization of {layer.name!r}: input_zero_point is "
            f"{layer.input_zero_point}, the layer before gives {zero_point} "
            "(rule F19)"
        )
    return layer.output_zero_point


def _prove_lstm(described: Lstm, layer: LstmLayer, wide: bool) -> int:
    if layer.merge != described.merge or (layer.backward is None) == described.bidirectional:
        raise ModelFileError(
            f"graph layer {layer.name!r}: directions or merge differ from the model's (rule F8)"
        )
    zero_point = 0 if wide else LSTM_OUTPUT_ZERO_POINT
    if layer.forward.projection is not None:
        zero_point = layer.forward.projection.output_zero_point
    for word, direction in (("forward", layer.forward), ("backward", layer.backward)):
        if direction is not None:
            _prove_direction(f"{layer.name}.{word}", described, direction, zero_point, wide)
    return zero_point


def _prove_direction(
    name: str, described: Lstm, direction: LstmDirection, zero_point: int, wide: bool
) -> None:
    rows = 4 * described.cells
    weights = direction.input_weights
    prove_matrix(f"{name}.input_weights", weights, (rows, described.inputs), wide=wide)
    bound = prove_accumulator(
        f"{name}.input_weights", weights, f"{name}.input_bias", direction.input_bias, wide=wide
    )
    prove_requantizer(f"{name}.input_requantize", direction.input_requantize, bound)
    weights = direction.recurrent_weights
    prove_matrix(
        f"{name}.recurrent_weights", weights, (rows, described.recurrent_inputs), wide=wide
    )
    bound = prove_accumulator(
        f"{name}.recurrent_weights",
        weights,
        f"{name}.recurrent_bias",
        direction.recurrent_bias,
        wide=wide,
    )
    prove_requantizer(f"{name}.recurrent_requantize", direction.recurrent_requantize, bound)
    expected = -zero_point * row_sums(weights)
    prove_each(
        f"{name}.recurrent_bias",
        direction.recurrent_bias == expected,
        direction.recurrent_bias,
        f"must be -{zero_point} times the sum of the row's weights",
        "F20",
    )
    if (direction.peephole is not None) != described.peephole:
        raise ModelFileError(
            f"graph layer {described.name!r}: peephole differs from the model's (rule F8)"
        )
    if direction.peephole is not None:
        _prove_peephole(f"{name}.peephole", direction.peephole, described.cells)
    projection = direction.projection
    if (projection is not None) != (described.projection is not None):
        raise ModelFileError(
            f"graph layer {described.name!r}: projection differs from the model's (rule F8)"
        )
    if projection is not None:
        if projection.output_zero_point != zero_point:
            raise ModelFileError(
                f"quantization of {described.name!r}: both directions must share "
                "one output_zero_point (rule F19)"
            )
        _prove_zero_point(described.name, zero_point, wide)
        shape = (described.recurrent_inputs, described.cells)
        prove_matrix(f"{name}.projection.weights", projection.weights, shape, wide=wide)
        bound = prove_accumulator(
            f"{name}.projection.weights",
            projection.weights,
            f"{name}.projection.bias",
            projection.bias,
            wide=wide,
        )
        prove_requantizer(f"{name}.projection.requantize", projection.requantize, bound)


def _prove_peephole(name: str, peephole: LstmPeephole, cells: int) -> None:
    weights = peephole.weights
    if weights.dtype != np.int16 or weights.shape != (3, cells):
        raise ModelFileError(
            f"tensor '{name}.weights': is {weights.dtype.name}"
            f"{list(weights.shape)}, expected int16[3, {cells}] (rule F15)"
        )
    if (weights == np.iinfo(np.int16).min).any():
        raise ModelFileError(
            f"tensor '{name}.weights': holds -32768, R5 allows -32767..32767 (rule F15)"
        )
    largest = int(np.abs(weights).max())
    prove_requantizer(
        f"{name}.requantize",
        peephole.requantize,
        np.array([largest * _CELL_MAGNITUDE]),
        PEEPHOLE_LIMIT + 1,
    )


def _prove_logit_scale(layer: OutputLayer) -> None:
    rows = layer.weights.shape[0]
    name = f"{layer.name}.logit_scale"
    if layer.scale.dtype != np.float32 or layer.scale.shape not in ((1,), (rows,)):
        raise ModelFileError(
            f"tensor {name!r}: is {layer.scale.dtype.name}"
            f"{list(layer.scale.shape)}, expected float32[1] or float32[{rows}] "
            "(rule F23)"
        )
    prove_each(
        name,
        np.isfinite(layer.scale) & (layer.scale > 0),
        layer.scale,
        "must be finite and above 0",
        "F23",
    )


def _prove_clamp(layer: LinearLayer | ConvolutionLayer, wide: bool) -> None:
    """Rules F19 and R4: ReLU clamps to ``z <= high <= 255`` (32767 in wide mode)."""
    _prove_zero_point(layer.name, layer.output_zero_point, wide)
    largest = np.iinfo(np.int16).max if wide else np.iinfo(np.uint8).max
    if layer.low != layer.output_zero_point or not layer.low <= layer.high <= largest:
        raise ModelFileError(
            f"quantization of {layer.name!r}: clamp {layer.low}..{layer.high} must start at the "
            f"zero point {layer.output_zero_point} and end at {largest} at most (rule F19)"
        )


def _prove_zero_point(name: str, zero_point: int, wide: bool) -> None:
    largest = 0 if wide else np.iinfo(np.uint8).max
    if not 0 <= zero_point <= largest:
        raise ModelFileError(
            f"quantization of {name!r}: zero point {zero_point} must be in 0..{largest} (rule F19)"
        )
