"""Integer models of any shape with random weights, calibrated so that activations are alive.

Axes: T frames, I inputs, R rows, C columns, H cells of one direction, P projected outputs.

Speed depends on shapes, on the places of the nonzeros and a little on the values of activations
(not at all in our kernels). So that a comparison with float peers means something, the values
are those of a trained network in one respect: each layer is normalised on calibration windows, as
batch norm would do. A fully connected layer is centred a row and 3 standard deviations fill the
range; the gates of an LSTM see an input part of deviation 1 and a recurrent part of about 0.5,
which keeps the recurrence away from chaos.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.random_matrices import Pattern, random_matrix
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.fixed_point import GATE_SCALE, choose_multiplier
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable, model_tables
from sparsespeech.integer_arithmetic.vectorized_lstm import VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import VectorizedLinear, compressed_rows
from sparsespeech.model_file.model import (
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)
from sparsespeech.model_file.weight_rules import row_sums

FILLED_DEVIATIONS = 3.0  # of an accumulator, that fill the 255 steps of a layer's output
INPUT_GATE_DEVIATION = 1.0  # real units; the gates are Q4.11
RECURRENT_GATE_DEVIATION = 0.5
LOGIT_DEVIATION = 4.0  # nats
PROJECTED_DEVIATION = 40.0  # steps of uint8 around the zero point 128
PEEPHOLE_SCALE = 0.25  # largest peephole weight
_LSTM_OUTPUT_DEVIATION = 40.0  # steps of 1/127, typical of gates as above
_LSTM_ZERO_POINT = 128
_ZERO_DEVIATION = 1.0  # stands for the deviation of accumulators that never change


def random_integer_model(
    graph: Graph,
    windows: NDArray[np.uint8],
    *,
    features: dict[str, Any],
    input_quantization: InputQuantization,
    labels: tuple[str, ...],
    density: float,
    output_density: float | None = None,
    pattern: Pattern = "unstructured",
    seed: int = 1,
) -> IntegerModel:
    """A model of ``graph`` with random weights, calibrated on ``windows`` uint8[T, I].

    ``density`` is the share of nonzeros of every matrix but the output layer's, which has
    ``output_density`` (the same unless given). Raises UnsupportedLayerError for a convolution.
    """
    rng = np.random.default_rng(seed)
    maker = _LayerMaker(rng, density, pattern)
    activations: NDArray[Any] = windows
    layers: list[IntegerLayer] = []
    for entry in graph.layers:
        if isinstance(entry, Output):
            maker.density = density if output_density is None else output_density
        layer = maker.layer(entry, activations)
        layers.append(layer)
        if not isinstance(layer, OutputLayer):
            activations = maker.outputs(layer, activations)
    return IntegerModel(
        graph=graph,
        layers=tuple(layers),
        labels=labels,
        features=features,
        input=input_quantization,
        tables=model_tables(),
        training={"corpus": f"random weights, {pattern}, density {density}, seed {seed}"},
    )


class _LayerMaker:
    """Draws and calibrates one layer after the other."""

    def __init__(self, rng: np.random.Generator, density: float, pattern: Pattern) -> None:
        self.rng = rng
        self.density = density
        self.pattern = pattern
        tables = model_tables()
        self._table = SigmoidTable(tables["sigmoid_base"], tables["sigmoid_slope"])

    def layer(self, entry: Layer, x: NDArray[Any]) -> IntegerLayer:
        match entry:
            case Linear():
                return self._linear(entry, x)
            case Lstm():
                return self._lstm(entry, x)
            case Output():
                weights = self._matrix(entry.outputs, entry.inputs)
                bias, deviation = _centred(weights, x)
                scale = np.full(1, LOGIT_DEVIATION / deviation, dtype=np.float32)
                return OutputLayer(entry.name, weights, bias, _frozen(scale))
        raise UnsupportedLayerError(
            f"layer {entry.name!r}: random models have no {type(entry).__name__} layers"
        )

    def outputs(self, layer: IntegerLayer, x: NDArray[Any]) -> NDArray[Any]:
        """Activations uint8[T, outputs] of a layer that is not the last."""
        if isinstance(layer, LstmLayer):
            return VectorizedLstm(layer, self._table, wide=False).run(x)
        assert isinstance(layer, LinearLayer)
        return VectorizedLinear(layer, wide=False).run(x)

    def _linear(self, entry: Linear, x: NDArray[Any]) -> LinearLayer:
        weights = self._matrix(entry.outputs, entry.inputs)
        bias, deviation = _centred(weights, x)
        requantize = _requantizer(255 / (FILLED_DEVIATIONS * deviation))
        return LinearLayer(entry.name, weights, bias, requantize, 0, low=0, high=255)

    def _lstm(self, entry: Lstm, x: NDArray[Any]) -> LstmLayer:
        forward = self._direction(entry, x)
        backward = self._direction(entry, x) if entry.bidirectional else None
        return LstmLayer(entry.name, forward, backward, entry.merge)

    def _direction(self, entry: Lstm, x: NDArray[Any]) -> LstmDirection:
        input_weights = self._matrix(4 * entry.cells, entry.inputs)
        recurrent_weights = self._matrix(4 * entry.cells, entry.recurrent_inputs)
        input_bias, deviation = _centred(input_weights, x)
        fed_back = PROJECTED_DEVIATION if entry.projection else _LSTM_OUTPUT_DEVIATION
        return LstmDirection(
            input_weights=input_weights,
            recurrent_weights=recurrent_weights,
            input_bias=input_bias,
            recurrent_bias=_zero_point_bias(recurrent_weights),
            input_requantize=_requantizer(INPUT_GATE_DEVIATION / GATE_SCALE / deviation),
            recurrent_requantize=_requantizer(
                RECURRENT_GATE_DEVIATION / GATE_SCALE / _deviation(recurrent_weights, fed_back)
            ),
            peephole=self._peephole(entry.cells) if entry.peephole else None,
            projection=self._projection(entry) if entry.projection else None,
        )

    def _projection(self, entry: Lstm) -> LstmProjection:
        weights = self._matrix(entry.recurrent_inputs, entry.cells)
        ratio = PROJECTED_DEVIATION / _deviation(weights, _LSTM_OUTPUT_DEVIATION)
        bias = _zero_point_bias(weights)
        return LstmProjection(weights, bias, _requantizer(ratio), _LSTM_ZERO_POINT)

    def _peephole(self, cells: int) -> LstmPeephole:
        weights = self.rng.integers(-32767, 32768, (3, cells)).astype(np.int16)
        return LstmPeephole(_frozen(weights), _requantizer(PEEPHOLE_SCALE / 32767))

    def _matrix(self, rows: int, columns: int) -> SparseMatrix:
        return random_matrix(self.rng, (rows, columns), self.density, self.pattern)


def _centred(weights: SparseMatrix, x: NDArray[Any]) -> tuple[NDArray[np.int64], float]:
    """A bias int64[R] that makes the mean accumulator of each row 0, and the deviation of all."""
    product = compressed_rows(weights, wide=False) @ np.ascontiguousarray(x.T, dtype=np.int32)
    bias = -np.rint(product.mean(axis=1)).astype(np.int64)
    deviation = float((product + bias[:, np.newaxis]).std())
    return _frozen(bias), max(deviation, _ZERO_DEVIATION)


def _zero_point_bias(weights: SparseMatrix) -> NDArray[np.int64]:
    """R3: the bias of a matrix whose only offset is the zero point 128 of its input."""
    return _frozen(-_LSTM_ZERO_POINT * row_sums(weights))


def _deviation(weights: SparseMatrix, input_deviation: float) -> float:
    """Deviation of an accumulator whose inputs vary independently by ``input_deviation``."""
    squares = float((weights.value.astype(np.float64) ** 2).sum()) / weights.shape[0]
    return max(float(np.sqrt(squares)) * input_deviation, _ZERO_DEVIATION)


def _requantizer(ratio: float) -> Requantizer:
    multiplier, shift = choose_multiplier(ratio)
    return Requantizer(_frozen(np.array([multiplier])), _frozen(np.array([shift])))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
