"""Small random integer models that obey rules R1 to R13, for tests of files and executors.

Axes: R rows, C columns, H cells of one direction, P projected outputs, F coefficients, V labels.
The multipliers are chosen so that activations spread over their range instead of saturating.
"""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Conv2d, Graph, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file.model import (
    ConvolutionLayer,
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

GATE_SPREAD = 2**13  # R5: gate inputs up to about +-4.0 in Q4.11
OUTPUT_SPREAD = {False: 2**9, True: 2**15}  # twice and once the range of uint8 and int16


def random_integer_model(
    rng: np.random.Generator,
    *,
    hidden: int = 16,
    bidirectional: bool = True,
    sparsity: float = 0.8,
    projection: int | None = None,
    peephole: bool = False,
    per_row: bool = False,
    wide: bool = False,
    merge: str = "concatenate",
    coefficients: int = 26,
    context: int = 9,
    labels: int = 28,
    convolution: bool = False,
) -> IntegerModel:
    """A DeepSpeech-like model: two Linear, one Lstm, one Linear, one Output layer.

    ``labels`` counts the symbols without the blank. ``per_row`` gives every matrix one
    requantizer a row and the logits one scale a row. ``wide`` follows R10 (int16 weights of
    12 bits, zero points 0). ``sparsity`` is the probability that a weight is absent.
    ``convolution`` puts a Conv2d first, whose channels are the frames of the context window.
    """
    features = MfccConfig(coefficients=coefficients, context=context)
    graph = _graph(
        features,
        hidden,
        labels,
        convolution=convolution,
        lstm=Lstm(
            "layer3",
            hidden,
            hidden,
            bidirectional,
            projection,
            peephole,
            merge if bidirectional else "concatenate",
        ),
    )
    return random_model_of_graph(
        rng, graph, features, labels=labels, sparsity=sparsity, per_row=per_row, wide=wide
    )


def random_model_of_graph(
    rng: np.random.Generator,
    graph: Graph,
    features: MfccConfig,
    *,
    labels: int = 28,
    sparsity: float = 0.8,
    per_row: bool = False,
    wide: bool = False,
) -> IntegerModel:
    """A model of any ``graph`` that takes the windows of ``features``."""
    quantization = InputQuantization(
        mean=_frozen(rng.normal(0, 5, features.coefficients)),
        deviation=_frozen(rng.uniform(0.5, 20, features.coefficients)),
        scale=float(rng.uniform(0.01, 0.05)),
        zero_point=0 if wide else int(rng.integers(0, 256)),
    )
    make = _LayerMaker(rng, sparsity, quantization.zero_point, per_row=per_row, wide=wide)
    return IntegerModel(
        graph=graph,
        layers=tuple(make.layer(layer) for layer in graph.layers),
        labels=tuple((" " + string.ascii_lowercase + "'" + string.digits)[:labels]),
        features=features.to_json(),
        input=quantization,
        tables=model_tables(16 if wide else 8),
        activation_bits=16 if wide else 8,
        training={"corpus": "random", "wer": 12.5},
    )


def _graph(
    features: MfccConfig, hidden: int, labels: int, *, convolution: bool, lstm: Lstm
) -> Graph:
    layers: list[Layer] = []
    width = features.inputs
    if convolution:
        channels, bins = 2 * features.context + 1, features.coefficients
        layers.append(Conv2d("conv1", channels, 2, kernel=(3, 5), stride=(2, 2), padding=(1, 2)))
        width = 2 * ((bins + 2 * 2 - 5) // 2 + 1)
    layers += [
        Linear("layer1", width, hidden),
        Linear("layer2", hidden, hidden),
        lstm,
        Linear("layer4", lstm.outputs, hidden),
        Output("layer5", hidden, labels + 1),
    ]
    return Graph(tuple(layers))


def random_sparse_matrix(
    rng: np.random.Generator, shape: tuple[int, int], sparsity: float, *, wide: bool = False
) -> SparseMatrix:
    """Weights in -128..127 (R1; -2048..2047 in wide mode), each absent with ``sparsity``."""
    limit = 2048 if wide else 128
    dense = rng.integers(-limit, limit, shape)
    dense[rng.random(shape) < sparsity] = 0
    return sparse_from_dense(dense, wide=wide)


def sparse_from_dense(dense: NDArray[Any], *, wide: bool = False) -> SparseMatrix:
    """Compressed sparse rows of a dense integer matrix [R, C]."""
    rows, columns = np.nonzero(dense)
    row_start = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=dense.shape[0]))))
    return SparseMatrix(
        shape=(int(dense.shape[0]), int(dense.shape[1])),
        row_start=_frozen(row_start.astype(np.int64)),
        column=_frozen(columns.astype(np.int32)),
        value=_frozen(dense[rows, columns].astype(np.int16 if wide else np.int8)),
    )


def row_sums(matrix: SparseMatrix) -> NDArray[np.int64]:
    """Sum of the weights of each row; int64[R]."""
    total = np.concatenate(([0], np.cumsum(matrix.value.astype(np.int64))))
    return np.asarray(total[matrix.row_start[1:]] - total[matrix.row_start[:-1]])


class _LayerMaker:
    """Draws layers of one model; ``largest_input`` is the bound of an activation in R3 and R10."""

    def __init__(
        self,
        rng: np.random.Generator,
        sparsity: float,
        input_zero_point: int,
        *,
        per_row: bool,
        wide: bool,
    ) -> None:
        self.rng = rng
        self.sparsity = sparsity
        self.input_zero_point = input_zero_point
        self.per_row = per_row
        self.wide = wide
        self.largest_input = 32768 if wide else 255
        self.recurrent_zero_point = 0 if wide else 128
        self.projected_zero_point = 0 if wide else int(rng.integers(0, 256))

    def layer(self, layer: Any) -> IntegerLayer:
        if isinstance(layer, Linear):
            return self._linear(layer)
        if isinstance(layer, Conv2d):
            return self._convolution(layer)
        if isinstance(layer, Lstm):
            forward = self._direction(layer)
            backward = self._direction(layer) if layer.bidirectional else None
            return LstmLayer(layer.name, forward, backward, layer.merge)
        weights = self._matrix(layer.outputs, layer.inputs)
        scales = self.rng.uniform(1e-5, 1e-3, layer.outputs if self.per_row else 1)
        return OutputLayer(
            layer.name, weights, self._bias(weights), _frozen(scales.astype(np.float32))
        )

    def _linear(self, layer: Linear) -> LinearLayer:
        weights = self._matrix(layer.outputs, layer.inputs)
        bias = self._bias(weights)
        zero_point = 0 if self.wide else int(self.rng.integers(0, 40))
        largest = 32767 if self.wide else 255
        return LinearLayer(
            name=layer.name,
            weights=weights,
            bias=bias,
            requantize=self._requantizer(weights, bias, OUTPUT_SPREAD[self.wide]),
            output_zero_point=zero_point,
            low=zero_point,
            high=int(self.rng.integers(largest // 2, largest + 1)),
        )

    def _convolution(self, layer: Conv2d) -> ConvolutionLayer:
        patch = layer.input_channels * layer.kernel[0] * layer.kernel[1]
        linear = self._linear(Linear(layer.name, patch, layer.output_channels))
        return ConvolutionLayer(
            layer.name,
            linear.weights,
            linear.bias,
            linear.requantize,
            self.input_zero_point,
            linear.output_zero_point,
            linear.low,
            linear.high,
        )

    def _direction(self, layer: Lstm) -> LstmDirection:
        input_weights = self._matrix(4 * layer.cells, layer.inputs)
        recurrent_weights = self._matrix(4 * layer.cells, layer.recurrent_inputs)
        input_bias = self._bias(input_weights)
        fed_back = self.projected_zero_point if layer.projection else self.recurrent_zero_point
        recurrent_bias = _frozen(-fed_back * row_sums(recurrent_weights))
        return LstmDirection(
            input_weights=input_weights,
            recurrent_weights=recurrent_weights,
            input_bias=input_bias,
            recurrent_bias=recurrent_bias,
            input_requantize=self._requantizer(input_weights, input_bias, GATE_SPREAD),
            recurrent_requantize=self._requantizer(recurrent_weights, recurrent_bias, GATE_SPREAD),
            peephole=self._peephole(layer.cells) if layer.peephole else None,
            projection=self._projection(layer) if layer.projection else None,
        )

    def _projection(self, layer: Lstm) -> LstmProjection:
        weights = self._matrix(layer.recurrent_inputs, layer.cells)
        bias = _frozen(-self.recurrent_zero_point * row_sums(weights))
        return LstmProjection(
            weights=weights,
            bias=bias,
            requantize=self._requantizer(weights, bias, OUTPUT_SPREAD[self.wide]),
            output_zero_point=self.projected_zero_point,
        )

    def _peephole(self, cells: int) -> LstmPeephole:
        weights = self.rng.integers(-32767, 32768, (3, cells)).astype(np.int16)
        return LstmPeephole(_frozen(weights), _nearest_requantizer(self.rng, 2.0**30, GATE_SPREAD))

    def _matrix(self, rows: int, columns: int) -> SparseMatrix:
        return random_sparse_matrix(self.rng, (rows, columns), self.sparsity, wide=self.wide)

    def _bias(self, weights: SparseMatrix) -> NDArray[np.int64]:
        """About as large as the sum of products of an average row."""
        spread = int(np.abs(weights.value.astype(np.int64)).sum()) * self.largest_input
        spread = max(1000, spread // (2 * weights.shape[0]))
        return _frozen(self.rng.integers(-spread, spread + 1, weights.shape[0]))

    def _requantizer(
        self, weights: SparseMatrix, bias: NDArray[np.int64], target: int
    ) -> Requantizer:
        """Maps the accumulator's spread, estimated from its variance, to ``target``."""
        squares = float((weights.value.astype(np.float64) ** 2).sum()) / weights.shape[0]
        spread = math.sqrt(squares) * self.largest_input + float(np.abs(bias).mean())
        return _nearest_requantizer(
            self.rng, spread, target, weights.shape[0] if self.per_row else 1
        )


def _nearest_requantizer(
    rng: np.random.Generator, spread: float, target: int, rows: int = 1
) -> Requantizer:
    multiplier = rng.integers(2**15, 2**16, rows)
    shift = np.round(np.log2(np.maximum(spread, 1.0) * multiplier / target)).astype(np.int64)
    return Requantizer(_frozen(multiplier), _frozen(np.clip(shift, 1, 47)))


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
