"""A model file back to the float network that it stands for, to train further.

The weights are the integers times their scale, the biases the stored ones without the zero point
of the input: rules R1 and R3 backwards. What quantization rounded away does not come back; what
was pruned is exactly 0.0. Ratios are stored as 16-bit multipliers (R13), so the scales of
activations are exact to about 2^-16.

Axes: R rows (outputs), C columns (inputs), H cells of one direction. Gate order i, f, g, o.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.errors import ExchangeError
from sparsespeech.exchange.torch_import import ImportedNetwork
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Linear
from sparsespeech.integer_arithmetic.fixed_point import (
    GATE_SCALE,
    LSTM_OUTPUT_SCALE,
    LSTM_OUTPUT_ZERO_POINT,
    WIDE_LSTM_OUTPUT_SCALE,
    ActivationParameters,
)
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    SparseMatrix,
)
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import weight_scales
from sparsespeech.model_file.tensors import DIRECTIONS
from sparsespeech.model_file.weight_rules import row_sums

_RANGE = {8: (0, 255), 16: (-32768, 32767)}  # of activations, by their bits
_CLIP_TOLERANCE = 1  # steps by which rounded multipliers may move the stored clip
_SCALE_TOLERANCE = 2.0**-10  # of a scale that has come through rounded multipliers


def import_model_file(path: Path) -> ImportedNetwork:
    """The float network of the model file ``path``.

    Raises ModelFileError for a damaged file, ExchangeError for a network that training does not
    know (convolution), and where the file does not hold the scales of its weights, or others.
    """
    model = read_model(path)
    reader = _Reader(path, model)
    for layer in model.layers:
        reader.add(layer)
    return ImportedNetwork(
        path,
        model.graph,
        reader.weights,
        MfccConfig.from_json(model.features),
        model.input.mean.copy(),
        model.input.deviation.copy(),
        model.labels,
        {layer.name: layer.name for layer in model.layers},
    )


class _Reader:
    """Walks the layers with scale and zero point of the activations between them."""

    def __init__(self, path: Path, model: IntegerModel) -> None:
        self.weights: dict[str, Tensor] = {}
        self._path, self._model = path, model
        self._scale, self._zero_point = model.input.scale, model.input.zero_point

    def add(self, layer: IntegerLayer) -> None:
        """Collect the float weights of ``layer`` and go on to its output."""
        match layer:
            case LinearLayer():
                self._linear(layer)
            case LstmLayer():
                self._lstm(layer)
            case OutputLayer():
                scale = layer.scale.astype(np.float64)
                weights = f"{layer.name}.weights"
                self._keep_matrix(
                    f"{layer.name}.weight", weights, layer.weights, scale / self._scale
                )
                bias = self._bias(layer.weights, layer.bias, scale)
                self._keep(f"{layer.name}.bias", bias)
            case ConvolutionLayer():
                raise ExchangeError(
                    f"{self._path}: layer {layer.name} is a convolution, which training does not "
                    f"know; import a model of Linear and LSTM layers"
                )

    def _linear(self, layer: LinearLayer) -> None:
        ratio = layer.requantize.ratio
        weights = f"{layer.name}.weights"
        scale = self._output_scale(weights, ratio, self._scale)
        self._prove_clip(layer, scale)
        step = ratio * scale  # of the accumulator: s_w * s_x
        self._keep_matrix(f"{layer.name}.weight", weights, layer.weights, step / self._scale)
        self._keep(f"{layer.name}.bias", self._bias(layer.weights, layer.bias, step))
        self._scale, self._zero_point = scale, layer.output_zero_point

    def _lstm(self, layer: LstmLayer) -> None:
        wide = self._model.activation_bits == 16
        m_scale = WIDE_LSTM_OUTPUT_SCALE if wide else LSTM_OUTPUT_SCALE
        scale, zero_point = m_scale, 0 if wide else LSTM_OUTPUT_ZERO_POINT
        projection = layer.forward.projection
        if projection is not None:
            name = f"{layer.name}.{DIRECTIONS[0]}.projection.weights"
            scale = self._output_scale(name, projection.requantize.ratio, m_scale)
            zero_point = projection.output_zero_point
        directions = (layer.forward, layer.backward)
        for number, direction in enumerate(directions):
            if direction is not None:
                stored = f"{layer.name}.{DIRECTIONS[number]}"
                name = f"{layer.name}.directions.{number}"
                self._direction(name, stored, direction, scale, m_scale)
        self._scale, self._zero_point = scale, zero_point

    def _direction(
        self, name: str, stored: str, direction: LstmDirection, h_scale: float, m_scale: float
    ) -> None:
        """One direction, ``stored`` in the file under its own name.

        ``h_scale`` is that of what it feeds back, ``m_scale`` that before the projection.
        """
        step = direction.input_requantize.ratio * GATE_SCALE  # s_w * s_x
        recurrent = direction.recurrent_requantize.ratio * GATE_SCALE  # s_w * s_h
        bias = self._bias(direction.input_weights, direction.input_bias, step)
        for source, weights, matrix, scale in (
            ("weight_ih", "input_weights", direction.input_weights, step / self._scale),
            ("weight_hh", "recurrent_weights", direction.recurrent_weights, recurrent / h_scale),
        ):
            self._keep_matrix(f"{name}.{source}", f"{stored}.{weights}", matrix, scale)
        self._keep(f"{name}.bias_ih", bias)
        self._keep(f"{name}.bias_hh", np.zeros_like(bias))
        if direction.peephole is not None:
            peephole = direction.peephole
            self._keep(f"{name}.peephole", peephole.weights * peephole.requantize.ratio)
        if direction.projection is not None:
            scale = direction.projection.requantize.ratio * h_scale / m_scale
            weights, matrix = f"{stored}.projection.weights", direction.projection.weights
            self._keep_matrix(f"{name}.weight_projection", weights, matrix, scale)

    def _output_scale(self, name: str, ratio: NDArray[np.float64], x_scale: float) -> float:
        """R13 backwards: ``s_y`` from ``ratio = s_w * s_x / s_y`` and the stored ``s_w``."""
        scale = self._recorded(name) * x_scale / float(ratio.min())
        if not sys.float_info.min <= scale <= 1.0 / sys.float_info.min:
            raise self._strange(name)
        return scale

    def _recorded(self, name: str) -> float:
        """The smallest scale of a row of the matrix ``name``, as its conversion noted."""
        scales = weight_scales(name, self._model.quantization or {})
        if scales is None or not (math.isfinite(scales[0]) and scales[0] > 0.0):
            raise ExchangeError(
                f"{self._path}: does not say the scale of {name}, so its float weights are "
                f"unknown; import the checkpoint that it was made from, or a file that "
                f"'sparsespeech quantize' wrote"
            )
        return scales[0]

    def _strange(self, name: str) -> ExchangeError:
        return ExchangeError(
            f"{self._path}: the scales of its weights do not fit its integers, as shows at {name}; "
            f"the facts were changed: import the checkpoint that it was made from"
        )

    def _prove_clip(self, layer: LinearLayer, scale: float) -> None:
        """The stored clamp is that of the graph's clip, or the scales do not belong here."""
        described = next(one for one in self._model.graph.layers if one.name == layer.name)
        assert isinstance(described, Linear)
        ends = _RANGE[self._model.activation_bits]
        output = ActivationParameters(scale, layer.output_zero_point, *ends)
        _, high = output.clamp_limits(described.clip)
        if abs(high - layer.high) > _CLIP_TOLERANCE:
            raise self._strange(f"{layer.name}.weights")

    def _bias(
        self, weights: SparseMatrix, bias: NDArray[np.int64], step: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """R3 backwards: float64[R], without the zero point of the input."""
        real: NDArray[np.float64] = (bias + self._zero_point * row_sums(weights)) * step
        return real

    def _keep_matrix(
        self, name: str, stored: str, matrix: SparseMatrix, scale: NDArray[np.float64]
    ) -> None:
        """Integers times ``scale``, which must be the recorded one: that proves all before it."""
        if abs(float(scale.min()) / self._recorded(stored) - 1.0) > _SCALE_TOLERANCE:
            raise self._strange(stored)
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
        dense = np.zeros(matrix.shape)
        dense[rows, matrix.column] = matrix.value
        self._keep(name, dense * np.broadcast_to(scale, matrix.shape[0])[:, np.newaxis])

    def _keep(self, name: str, values: NDArray[np.float64]) -> None:
        self.weights[name] = torch.from_numpy(values.astype(np.float32))
