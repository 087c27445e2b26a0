"""Float weights and calibrated ranges to the integer model (rules R1, R3, R4, R5, R9, R12, R13).

Axes: R rows of a matrix (outputs), C columns (inputs), H cells of one direction. Gate order
i, f, g, o. Each matrix carries its own scale (option: one a row); the scale and zero point of the
activations go from layer to layer. Every bound that the reader of a model file will demand is
proved here first, so that a network that does not fit fails with the layer and the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.errors import ConversionError
from sparsespeech.graph import Graph, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.accumulator_bounds import (
    ACCUMULATOR_LIMIT,
    accumulator_bound,
    rescaled_bound,
)
from sparsespeech.integer_arithmetic.fixed_point import (
    GATE_SCALE,
    LSTM_OUTPUT_SCALE,
    LSTM_OUTPUT_ZERO_POINT,
    RESCALED_LIMIT,
    ActivationParameters,
    choose_multiplier,
    fold_bias,
    quantize_weights,
)
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
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.training.checkpoint import Checkpoint

LSTM_OUTPUT = ActivationParameters(LSTM_OUTPUT_SCALE, LSTM_OUTPUT_ZERO_POINT, 0, 255)
DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True, eq=False)
class MatrixFacts:
    """What became of one weight matrix; ``name`` as in the model file."""

    name: str
    shape: tuple[int, int]
    nonzeros: int  # stored weights
    vanished: int  # weights that were not 0 and are rounded to 0
    scale: NDArray[np.float64]  # float64[1] or float64[R]


@dataclass(frozen=True, eq=False)
class Conversion:
    """The integer model, and facts about each matrix and each layer's output."""

    model: IntegerModel
    matrices: tuple[MatrixFacts, ...]
    outputs: dict[str, ActivationParameters]  # by layer name; the output layer has none


def convert(
    checkpoint: Checkpoint, calibration: Calibration, *, per_row: bool = False
) -> Conversion:
    """Quantize the network of ``checkpoint``; ``per_row`` gives each row its own weight scale.

    Raises ConversionError naming matrix and row for a multiplier outside the range of R4, an
    accumulator that is not proved to fit (R3, R4), a weight or bias that is not finite, and for
    a layer that conversion does not know (projection, peephole, summed directions, convolution).
    """
    graph = checkpoint.graph
    _check_labels(graph, checkpoint.labels)
    frames = calibration.input.parameters()
    converter = _Converter(checkpoint.weights, calibration, per_row=per_row)
    layers = converter.layers(graph, frames)
    model = IntegerModel(
        graph=graph,
        layers=layers,
        labels=checkpoint.labels,
        features=checkpoint.features.to_json(),
        input=InputQuantization(
            _read_only(checkpoint.mean),
            _read_only(checkpoint.deviation),
            frames.scale,
            frames.zero_point,
        ),
        tables=model_tables(),
        training={**checkpoint.facts, "step": checkpoint.step},
        quantization=_facts(calibration, converter.matrices, per_row=per_row),
    )
    return Conversion(model, tuple(converter.matrices), converter.outputs)


class _Converter:
    """Walks the graph; collects facts on the way."""

    def __init__(
        self, weights: Mapping[str, Tensor], calibration: Calibration, *, per_row: bool
    ) -> None:
        self.matrices: list[MatrixFacts] = []
        self.outputs: dict[str, ActivationParameters] = {}
        self._weights = weights
        self._calibration = calibration
        self._per_row = per_row

    def layers(self, graph: Graph, x: ActivationParameters) -> tuple[IntegerLayer, ...]:
        """All layers; ``x`` is the input of the first."""
        converted: list[IntegerLayer] = []
        for layer in graph.layers:
            if isinstance(layer, Linear):
                self.outputs[layer.name] = self._calibration.outputs[layer.name].parameters()
                converted.append(self._linear(layer, x, self.outputs[layer.name]))
            elif isinstance(layer, Lstm):
                self.outputs[layer.name] = LSTM_OUTPUT
                converted.append(self._lstm(layer, x))
            elif isinstance(layer, Output):
                converted.append(self._output(layer, x))
                continue
            else:
                raise ConversionError(f"layer {layer.name}: conversion knows no {layer} yet")
            x = self.outputs[layer.name]
        return tuple(converted)

    def _linear(
        self, layer: Linear, x: ActivationParameters, y: ActivationParameters
    ) -> LinearLayer:
        weights, weight_scale = self._matrix(f"{layer.name}.weights", f"{layer.name}.weight")
        scale = weight_scale * x.scale
        bias = self._bias(layer.name, weights, scale, x.zero_point, f"{layer.name}.bias")
        low, high = y.clamp_limits(layer.clip)
        return LinearLayer(
            layer.name,
            weights,
            bias,
            _requantizer(layer.name, weights, bias, scale / y.scale),
            y.zero_point,
            low,
            high,
        )

    def _output(self, layer: Output, x: ActivationParameters) -> OutputLayer:
        weights, weight_scale = self._matrix(f"{layer.name}.weights", f"{layer.name}.weight")
        scale = weight_scale * x.scale
        bias = self._bias(layer.name, weights, scale, x.zero_point, f"{layer.name}.bias")
        logit_scale = scale.astype(np.float32)
        if not (np.isfinite(logit_scale) & (logit_scale > 0)).all():
            raise ConversionError(
                f"{layer.name}: logit scales from {scale.min():g} to "
                f"{scale.max():g} do not fit float32; check the weights of the "
                f"output layer"
            )
        return OutputLayer(layer.name, weights, bias, _read_only(logit_scale))

    def _lstm(self, layer: Lstm, x: ActivationParameters) -> LstmLayer:
        if layer.projection or layer.peephole or layer.merge != "concatenate":
            raise ConversionError(
                f"layer {layer.name}: conversion knows no projection, peephole "
                f"or summed directions yet, got {layer}"
            )
        forward = self._direction(layer.name, 0, x)
        backward = self._direction(layer.name, 1, x) if layer.bidirectional else None
        return LstmLayer(layer.name, forward, backward, layer.merge)

    def _direction(self, layer: str, number: int, x: ActivationParameters) -> LstmDirection:
        name, source = f"{layer}.{DIRECTIONS[number]}", f"{layer}.directions.{number}"
        inputs, input_scale = self._matrix(f"{name}.input_weights", f"{source}.weight_ih")
        recurrent, recurrent_scale = self._matrix(
            f"{name}.recurrent_weights", f"{source}.weight_hh"
        )
        scale = input_scale * x.scale
        input_bias = self._bias(
            f"{name}.input", inputs, scale, x.zero_point, f"{source}.bias_ih", f"{source}.bias_hh"
        )
        recurrent_bias = _read_only(-LSTM_OUTPUT.zero_point * _row_sums(recurrent))
        _prove_accumulator(f"{name}.recurrent", recurrent, recurrent_bias)
        recurrent_ratio = recurrent_scale * LSTM_OUTPUT.scale / GATE_SCALE
        return LstmDirection(
            inputs,
            recurrent,
            input_bias,
            recurrent_bias,
            _requantizer(f"{name}.input", inputs, input_bias, scale / GATE_SCALE),
            _requantizer(f"{name}.recurrent", recurrent, recurrent_bias, recurrent_ratio),
        )

    def _matrix(self, name: str, source: str) -> tuple[SparseMatrix, NDArray[np.float64]]:
        """R1: the nonzeros of one float matrix [R, C] and its scale float64[1] or float64[R]."""
        values = self._weights[source].numpy()
        try:
            integers, scale = quantize_weights(values, per_row=self._per_row)
        except ConversionError as error:
            raise ConversionError(f"{name}: {error}") from None
        matrix = _compress(integers.astype(np.int8))
        vanished = int(np.count_nonzero(values)) - matrix.nonzeros
        self.matrices.append(MatrixFacts(name, matrix.shape, matrix.nonzeros, vanished, scale))
        return matrix, scale

    def _bias(
        self,
        name: str,
        weights: SparseMatrix,
        scale: NDArray[np.float64],
        zero_point: int,
        *sources: str,
    ) -> NDArray[np.int64]:
        """R3: the sum of the float biases ``sources`` and the zero point, int64[R], proved."""
        real = np.sum([self._weights[source].double().numpy() for source in sources], axis=0)
        try:
            bias = fold_bias(real, scale, zero_point, _row_sums(weights))
        except ConversionError as error:
            raise ConversionError(f"{name}: {error}") from None
        _prove_accumulator(name, weights, bias)
        return _read_only(bias)


def _requantizer(
    name: str, weights: SparseMatrix, bias: NDArray[np.int64], ratios: NDArray[np.float64]
) -> Requantizer:
    """R13: multipliers and shifts for float64[1] or float64[R], with R4's bound proved."""
    pairs = []
    for row, ratio in enumerate(ratios):
        try:
            pairs.append(choose_multiplier(float(ratio)))
        except ConversionError as error:
            where = f"{name}, row {row}" if ratios.size > 1 else name
            raise ConversionError(f"{where}: {error}") from None
    multiplier, shift = (np.array(values, dtype=np.int64) for values in zip(*pairs, strict=True))
    largest = rescaled_bound(
        accumulator_bound(weights.row_start, weights.value, bias), multiplier, shift
    )
    if (largest >= RESCALED_LIMIT).any():
        row = int(np.argmax(largest))
        raise ConversionError(
            f"{name}, row {row}: a rescaled accumulator may reach "
            f"{largest[row]}, rule R4 allows less than {RESCALED_LIMIT}; the "
            f"calibrated range is far too small for the weights: calibrate on "
            f"real speech"
        )
    return Requantizer(_read_only(multiplier), _read_only(shift))


def _prove_accumulator(name: str, weights: SparseMatrix, bias: NDArray[np.int64]) -> None:
    """R3: raise ConversionError unless no accumulator of any input can leave int32."""
    bound = accumulator_bound(weights.row_start, weights.value, bias)
    if (bound >= ACCUMULATOR_LIMIT).any():
        row = int(np.argmax(bound))
        raise ConversionError(
            f"{name}, row {row}: an accumulator may reach {bound[row]}, rule R3 "
            f"allows less than {ACCUMULATOR_LIMIT}; the bias is far larger than "
            f"the weights: train with weight decay, or without --per-row"
        )


def _compress(dense: NDArray[np.int8]) -> SparseMatrix:
    rows, columns = np.nonzero(dense)
    row_start = np.searchsorted(rows, np.arange(dense.shape[0] + 1)).astype(np.int64)
    return SparseMatrix(
        (dense.shape[0], dense.shape[1]),
        _read_only(row_start),
        _read_only(columns.astype(np.int32)),
        _read_only(dense[rows, columns]),
    )


def _row_sums(weights: SparseMatrix) -> NDArray[np.int64]:
    running = np.concatenate(([0], np.cumsum(weights.value, dtype=np.int64)))
    return np.asarray(running[weights.row_start[1:]] - running[weights.row_start[:-1]])


def _check_labels(graph: Graph, labels: tuple[str, ...]) -> None:
    classes = graph.layers[-1].outputs if isinstance(graph.layers[-1], Output) else 0
    if classes != len(labels) + 1:
        raise ConversionError(
            f"the last layer must be an output layer with {len(labels) + 1} "
            f"classes, one a label and the blank; got {graph.layers[-1]}"
        )


def _facts(
    calibration: Calibration, matrices: list[MatrixFacts], *, per_row: bool
) -> dict[str, Any]:
    """What the model file tells a person about its quantization; no executor reads it."""
    scales: dict[str, Any] = {
        facts.name: [float(facts.scale.min()), float(facts.scale.max())]
        if per_row
        else float(facts.scale[0])
        for facts in matrices
    }
    return {
        "per_row": per_row,
        "weight_scale_ranges" if per_row else "weight_scales": scales,
        "weights_rounded_to_zero": {facts.name: facts.vanished for facts in matrices},
        "calibration": {"utterances": calibration.utterances, "momentum": calibration.momentum},
    }


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy
