"""The float network that an integer model stands for, handed to the peers.

Axes: R rows, C columns, H cells of one direction, P projected outputs, T frames, I inputs.
Gate order i, f, g, o.

Every scale follows from the integers: of a layer's input, weights and output, only the ratio
``s_w * s_x / s_y`` of R13 is stored, and any choice of ``s_y`` gives the same logits as long as
the clip is scaled with it. Here ``s_y = 1``: activations count integer steps from their zero
point. Weights stay sparse int8 with a scale; :meth:`ScaledMatrix.dense` expands them.
Left out: rounding, and the saturation of gates and cell at +-16, which float peers do not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.integer_arithmetic.fixed_point import (
    GATE_SCALE,
    LSTM_OUTPUT_SCALE,
    LSTM_OUTPUT_ZERO_POINT,
)
from sparsespeech.model_file.model import (
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    SparseMatrix,
)
from sparsespeech.model_file.weight_rules import row_sums

Float32Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScaledMatrix:
    """A sparse int8 matrix [R, C] and the real value of one of its steps."""

    matrix: SparseMatrix
    scale: Float32Array  # float32[1] or float32[R]

    def dense(self) -> Float32Array:
        """float32[R, C]."""
        dense = np.zeros(self.matrix.shape, dtype=np.float32)
        rows = np.repeat(np.arange(self.matrix.shape[0]), np.diff(self.matrix.row_start))
        dense[rows, self.matrix.column] = self.matrix.value
        dense *= self.scale[:, np.newaxis]
        return dense

    def values(self) -> Float32Array:
        """Real values of the nonzeros, float32[nonzeros], in the order of the matrix."""
        scales = np.broadcast_to(self.scale, self.matrix.shape[0])
        repeated = np.repeat(scales, np.diff(self.matrix.row_start))
        return self.matrix.value.astype(np.float32) * repeated


@dataclass(frozen=True, eq=False)
class FloatLinear:
    """``clip(W x + b, low, high)``, or without clip for the output layer."""

    weights: ScaledMatrix
    bias: Float32Array  # float32[R]
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, eq=False)
class FloatDirection:
    """One direction of an LSTM; the real fed-back vector is h, or the projection of h."""

    input_weights: ScaledMatrix  # [4H, C]
    recurrent_weights: ScaledMatrix  # [4H, H or P]
    bias: Float32Array  # float32[4H]
    projection: ScaledMatrix | None = None  # [P, H], without bias


@dataclass(frozen=True, eq=False)
class FloatLstm:
    """A unidirectional or bidirectional LSTM, outputs concatenated."""

    directions: tuple[FloatDirection, ...]

    @property
    def cells(self) -> int:
        """H."""
        return self.directions[0].recurrent_weights.matrix.shape[0] // 4


FloatLayer = FloatLinear | FloatLstm


@dataclass(frozen=True, eq=False)
class FloatNetwork:
    """A chain of layers; the last gives logits in nats."""

    layers: tuple[FloatLayer, ...]
    zero_point: int  # of the windows: the real input is ``windows - zero_point``

    @property
    def inputs(self) -> int:
        """I."""
        return _input_width(self.layers[0])

    def real_inputs(self, windows: NDArray[np.uint8]) -> Float32Array:
        """float32 of the same shape as uint8 ``windows``."""
        return windows.astype(np.float32) - np.float32(self.zero_point)


def float_network(model: IntegerModel) -> FloatNetwork:
    """The float network of ``model``.

    Raises UnsupportedLayerError for convolutions, peepholes, summed directions and wide models,
    which no peer here runs.
    """
    if model.activation_bits != 8:
        raise UnsupportedLayerError("peers run the networks of 8-bit models only")
    layers: list[FloatLayer] = []
    step, zero_point = 1.0, model.input.zero_point  # of the activations between two layers
    for layer in model.layers:
        converted, step, zero_point = _float_layer(layer, step, zero_point)
        layers.append(converted)
    return FloatNetwork(tuple(layers), model.input.zero_point)


def _float_layer(layer: IntegerLayer, step: float, zero: int) -> tuple[FloatLayer, float, int]:
    """The layer, and the step and zero point of its output."""
    match layer:
        case LinearLayer():
            ratio = layer.requantize.ratio  # s_w * step / 1
            return (
                FloatLinear(
                    ScaledMatrix(layer.weights, (ratio / step).astype(np.float32)),
                    _real_bias(layer.weights, layer.bias, zero, ratio),
                    float(layer.low - layer.output_zero_point),
                    float(layer.high - layer.output_zero_point),
                ),
                1.0,
                layer.output_zero_point,
            )
        case OutputLayer():
            scale = layer.scale.astype(np.float64)  # s_w * step
            weights = ScaledMatrix(layer.weights, (scale / step).astype(np.float32))
            bias = _real_bias(layer.weights, layer.bias, zero, scale)
            return FloatLinear(weights, bias), 1.0, 0
        case LstmLayer():
            return _float_lstm(layer, step, zero)
    raise UnsupportedLayerError(f"layer {layer.name!r}: peers have no {type(layer).__name__}")


def _float_lstm(layer: LstmLayer, step: float, zero: int) -> tuple[FloatLayer, float, int]:
    directions = [layer.forward] + ([layer.backward] if layer.backward else [])
    if layer.merge != "concatenate" or any(d.peephole for d in directions):
        raise UnsupportedLayerError(
            f"layer {layer.name!r}: peers have neither peepholes nor summed directions"
        )
    lstm = FloatLstm(tuple(_float_direction(d, step, zero) for d in directions))
    projection = layer.forward.projection
    if projection is None:
        return lstm, LSTM_OUTPUT_SCALE, LSTM_OUTPUT_ZERO_POINT
    return lstm, 1.0, projection.output_zero_point


def _float_direction(direction: LstmDirection, step: float, zero: int) -> FloatDirection:
    input_ratio = direction.input_requantize.ratio * GATE_SCALE  # s_w * step
    recurrent_ratio = direction.recurrent_requantize.ratio * GATE_SCALE
    fed_back_step, projected = LSTM_OUTPUT_SCALE, None
    if direction.projection is not None:
        fed_back_step = 1.0
        ratio = direction.projection.requantize.ratio  # s_w * (1/127) / 1
        scale = (ratio / LSTM_OUTPUT_SCALE).astype(np.float32)
        projected = ScaledMatrix(direction.projection.weights, scale)
    return FloatDirection(
        ScaledMatrix(direction.input_weights, (input_ratio / step).astype(np.float32)),
        ScaledMatrix(
            direction.recurrent_weights, (recurrent_ratio / fed_back_step).astype(np.float32)
        ),
        _real_bias(direction.input_weights, direction.input_bias, zero, input_ratio),
        projected,
    )


def _real_bias(
    weights: SparseMatrix, bias: NDArray[np.int64], zero: int, step: NDArray[np.float64]
) -> Float32Array:
    """R3 undone: the bias without its zero point, times the ``step`` of the accumulator."""
    return ((bias + zero * row_sums(weights)) * step).astype(np.float32)


# ---- storage, for the process of a peer ----------------------------------------------------------


def save_network(network: FloatNetwork, path: Path) -> None:
    """Write ``network`` as an .npz file without pickled objects."""
    arrays: dict[str, NDArray[Any]] = {"zero_point": np.array(network.zero_point)}
    kinds = []
    for number, layer in enumerate(network.layers):
        if isinstance(layer, FloatLinear):
            kinds.append(0)
            _store(arrays, f"{number}.weights", layer.weights)
            arrays[f"{number}.bias"] = layer.bias
            arrays[f"{number}.clip"] = np.array([layer.low, layer.high])
            continue
        kinds.append(len(layer.directions))
        for side, direction in enumerate(layer.directions):
            prefix = f"{number}.{side}"
            _store(arrays, f"{prefix}.input", direction.input_weights)
            _store(arrays, f"{prefix}.recurrent", direction.recurrent_weights)
            arrays[f"{prefix}.bias"] = direction.bias
            if direction.projection is not None:
                _store(arrays, f"{prefix}.projection", direction.projection)
    arrays["kinds"] = np.array(kinds)
    np.savez(path, allow_pickle=False, **arrays)


def load_network(path: Path) -> FloatNetwork:
    """Inverse of :func:`save_network`."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    layers: list[FloatLayer] = []
    for number, directions in enumerate(arrays["kinds"].tolist()):
        if directions == 0:
            low, high = arrays[f"{number}.clip"].tolist()
            weights = _restored(arrays, f"{number}.weights")
            layers.append(FloatLinear(weights, arrays[f"{number}.bias"], low, high))
            continue
        layers.append(
            FloatLstm(
                tuple(_restored_direction(arrays, f"{number}.{n}") for n in range(directions))
            )
        )
    return FloatNetwork(tuple(layers), int(arrays["zero_point"]))


def _restored_direction(arrays: dict[str, NDArray[Any]], prefix: str) -> FloatDirection:
    projected = f"{prefix}.projection.value" in arrays
    return FloatDirection(
        _restored(arrays, f"{prefix}.input"),
        _restored(arrays, f"{prefix}.recurrent"),
        arrays[f"{prefix}.bias"],
        _restored(arrays, f"{prefix}.projection") if projected else None,
    )


def _store(arrays: dict[str, NDArray[Any]], name: str, weights: ScaledMatrix) -> None:
    matrix = weights.matrix
    arrays[f"{name}.shape"] = np.array(matrix.shape)
    arrays[f"{name}.row_start"] = matrix.row_start
    arrays[f"{name}.column"] = matrix.column
    arrays[f"{name}.value"] = matrix.value
    arrays[f"{name}.scale"] = weights.scale


def _restored(arrays: dict[str, NDArray[Any]], name: str) -> ScaledMatrix:
    rows, columns = arrays[f"{name}.shape"].tolist()
    matrix = SparseMatrix(
        (rows, columns),
        arrays[f"{name}.row_start"],
        arrays[f"{name}.column"],
        arrays[f"{name}.value"],
    )
    return ScaledMatrix(matrix, arrays[f"{name}.scale"])


def _input_width(layer: FloatLayer) -> int:
    if isinstance(layer, FloatLinear):
        return layer.weights.matrix.shape[1]
    return layer.directions[0].input_weights.matrix.shape[1]
