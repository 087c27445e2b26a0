"""Float weights and calibrated ranges to the integer model (rules R1 to R5, R8 to R13).

Axes: R rows of a matrix (outputs), P projected outputs, H cells of one direction. Gate order
i, f, g, o. Each matrix carries its own scale (option: one a row); the scale and zero point of the
activations go from layer to layer. Every bound that the reader of a model file will demand is
proved first (``integer_arrays``), so that a network that does not fit fails with its row.
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
from sparsespeech.integer_arithmetic.fixed_point import (
    GATE_SCALE,
    LSTM_OUTPUT_SCALE,
    LSTM_OUTPUT_ZERO_POINT,
    WIDE_LSTM_OUTPUT_SCALE,
    ActivationParameters,
    fold_bias,
)
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file.model import (
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmProjection,
    OutputLayer,
    SparseMatrix,
)
from sparsespeech.model_file.tensors import DIRECTIONS
from sparsespeech.model_file.weight_rules import row_sums
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.integer_arrays import (
    integer_matrix,
    integer_peephole,
    prove_accumulator,
    read_only,
    requantizer,
)
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.checkpoint import Checkpoint

LSTM_OUTPUT = ActivationParameters(LSTM_OUTPUT_SCALE, LSTM_OUTPUT_ZERO_POINT, 0, 255)
WIDE_LSTM_OUTPUT = ActivationParameters(WIDE_LSTM_OUTPUT_SCALE, 0, -32768, 32767)


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
    checkpoint: Checkpoint, calibration: Calibration, precision: Precision = EIGHT_BIT
) -> Conversion:
    """Quantize the network of ``checkpoint`` with the bits of ``precision``.

    Raises ConversionError naming matrix and row for a multiplier outside the range of R4, an
    accumulator that is not proved to fit (R3, R4), a weight or bias that is not finite, and for
    a layer that conversion does not know (convolution).
    """
    graph = checkpoint.graph
    _check_labels(graph, checkpoint.labels)
    frames = calibration.input.parameters(precision.activation_bits)
    converter = _Converter(checkpoint.weights, calibration, precision)
    layers = converter.layers(graph, frames)
    model = IntegerModel(
        graph=graph,
        layers=layers,
        labels=checkpoint.labels,
        features=checkpoint.features.to_json(),
        input=InputQuantization(
            read_only(checkpoint.mean),
            read_only(checkpoint.deviation),
            frames.scale,
            frames.zero_point,
        ),
        tables=model_tables(precision.activation_bits),
        activation_bits=precision.activation_bits,
        training={**checkpoint.facts, "step": checkpoint.step},
        quantization=_facts(calibration, converter.matrices, precision),
    )
    return Conversion(model, tuple(converter.matrices), converter.outputs)


class _Converter:
    """Walks the graph; collects facts on the way."""

    def __init__(
        self, weights: Mapping[str, Tensor], calibration: Calibration, precision: Precision
    ) -> None:
        self.matrices: list[MatrixFacts] = []
        self.outputs: dict[str, ActivationParameters] = {}
        self._weights = weights
        self._calibration = calibration
        self._precision = precision

    def layers(self, graph: Graph, x: ActivationParameters) -> tuple[IntegerLayer, ...]:
        """All layers; ``x`` is the input of the first."""
        converted: list[IntegerLayer] = []
        for layer in graph.layers:
            if isinstance(layer, Output):
                converted.append(self._output(layer, x))
                continue
            if not isinstance(layer, Linear | Lstm):
                raise ConversionError(f"layer {layer.name}: conversion knows no {layer} yet")
            y = self._output_parameters(layer)
            self.outputs[layer.name] = y
            converted.append(
                self._linear(layer, x, y) if isinstance(layer, Linear) else self._lstm(layer, x, y)
            )
            x = y
        return tuple(converted)

    def _output_parameters(self, layer: Linear | Lstm) -> ActivationParameters:
        """R2: calibrated, but fixed for an LSTM without projection (R8, R10)."""
        if isinstance(layer, Lstm) and not layer.projection:
            return WIDE_LSTM_OUTPUT if self._precision.wide else LSTM_OUTPUT
        return self._calibration.outputs[layer.name].parameters(self._precision.activation_bits)

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
            requantizer(layer.name, weights, bias, scale / y.scale, wide=self._precision.wide),
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
        return OutputLayer(layer.name, weights, bias, read_only(logit_scale))

    def _lstm(self, layer: Lstm, x: ActivationParameters, y: ActivationParameters) -> LstmLayer:
        forward = self._direction(layer, 0, x, y)
        backward = self._direction(layer, 1, x, y) if layer.bidirectional else None
        return LstmLayer(layer.name, forward, backward, layer.merge)

    def _direction(
        self, layer: Lstm, number: int, x: ActivationParameters, h: ActivationParameters
    ) -> LstmDirection:
        """One direction; ``h`` is what it feeds back: the layer's output, directions apart."""
        name, source = f"{layer.name}.{DIRECTIONS[number]}", f"{layer.name}.directions.{number}"
        wide = self._precision.wide
        inputs, input_scale = self._matrix(f"{name}.input_weights", f"{source}.weight_ih")
        recurrent, recurrent_scale = self._matrix(
            f"{name}.recurrent_weights", f"{source}.weight_hh"
        )
        scale = input_scale * x.scale
        input_bias = self._bias(
            f"{name}.input", inputs, scale, x.zero_point, f"{source}.bias_ih", f"{source}.bias_hh"
        )
        recurrent_bias = read_only(-h.zero_point * row_sums(recurrent))
        prove_accumulator(f"{name}.recurrent", recurrent, recurrent_bias, wide=wide)
        recurrent_ratio = recurrent_scale * h.scale / GATE_SCALE
        return LstmDirection(
            inputs,
            recurrent,
            input_bias,
            recurrent_bias,
            requantizer(f"{name}.input", inputs, input_bias, scale / GATE_SCALE, wide=wide),
            requantizer(f"{name}.recurrent", recurrent, recurrent_bias, recurrent_ratio, wide=wide),
            peephole=integer_peephole(
                f"{name}.peephole", self._weights[f"{source}.peephole"].numpy()
            )
            if layer.peephole
            else None,
            projection=self._projection(name, source, h) if layer.projection else None,
        )

    def _projection(self, name: str, source: str, y: ActivationParameters) -> LstmProjection:
        """R8, R13: from m, with its fixed scale, to ``y``; a projection has no bias of its own."""
        weights, scale = self._matrix(f"{name}.projection.weights", f"{source}.weight_projection")
        m = WIDE_LSTM_OUTPUT if self._precision.wide else LSTM_OUTPUT
        bias = read_only(-m.zero_point * row_sums(weights))
        name, wide = f"{name}.projection", self._precision.wide
        prove_accumulator(name, weights, bias, wide=wide)
        ratio = scale * m.scale / y.scale
        return LstmProjection(
            weights, bias, requantizer(name, weights, bias, ratio, wide=wide), y.zero_point
        )

    def _matrix(self, name: str, source: str) -> tuple[SparseMatrix, NDArray[np.float64]]:
        """R1: the nonzeros of one float matrix [R, C] and its scale float64[1] or float64[R]."""
        values = self._weights[source].numpy()
        matrix, scale = integer_matrix(name, values, self._precision)
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
            bias = fold_bias(real, scale, zero_point, row_sums(weights))
        except ConversionError as error:
            raise ConversionError(f"{name}: {error}") from None
        prove_accumulator(name, weights, bias, wide=self._precision.wide)
        return read_only(bias)


def _check_labels(graph: Graph, labels: tuple[str, ...]) -> None:
    classes = graph.layers[-1].outputs if isinstance(graph.layers[-1], Output) else 0
    if classes != len(labels) + 1:
        raise ConversionError(
            f"the last layer must be an output layer with {len(labels) + 1} "
            f"classes, one a label and the blank; got {graph.layers[-1]}"
        )


def _facts(
    calibration: Calibration, matrices: list[MatrixFacts], precision: Precision
) -> dict[str, Any]:
    """What the model file tells a person about its quantization; no executor reads it."""
    scales: dict[str, Any] = {
        facts.name: [float(facts.scale.min()), float(facts.scale.max())]
        if precision.per_row
        else float(facts.scale[0])
        for facts in matrices
    }
    return {
        "weight_bits": precision.weight_bits,
        "per_row": precision.per_row,
        "weight_scale_ranges" if precision.per_row else "weight_scales": scales,
        "weights_rounded_to_zero": {facts.name: facts.vanished for facts in matrices},
        "calibration": {
            "source": calibration.source,
            "utterances": calibration.utterances,
            "momentum": calibration.momentum,
        },
    }
