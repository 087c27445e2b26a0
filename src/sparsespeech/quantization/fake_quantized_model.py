"""The whole integer model emulated in torch from float weights, with the same bits.

Axes: T frames, I inputs of the first layer, C columns, R rows.

Every tensor is float64 and holds integers (``emulated_arithmetic``). Weights, scales, multipliers
and tables are derived here again from the float network and the calibrated ranges; neither the
converter nor the numpy reference is called, so that bit-identical logits are evidence for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.errors import ConversionError
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.fixed_point import ActivationParameters
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.emulated_arithmetic import (
    Accumulator,
    Rescaler,
    lstm_output_parameters,
)
from sparsespeech.quantization.emulated_lstm import EmulatedLstm
from sparsespeech.quantization.fake_quantize import activation_integers, round_half_up
from sparsespeech.quantization.precision import EIGHT_BIT, Precision


@dataclass(frozen=True, eq=False)
class QuantizedActivation:
    """``real = scale * (integers - zero_point)``; integers are float64[T, R]."""

    integers: Tensor
    scale: Tensor  # float64[1], or float64[R] for logits with row scales
    zero_point: int

    def dequantize(self) -> Tensor:
        """float64[T, R]."""
        return (self.integers - self.zero_point) * self.scale


class FakeQuantizedModel:
    """A network with every rounding and saturation of the integer model, in torch float64."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Tensor],
        context: int,
        calibration: Calibration,
        precision: Precision = EIGHT_BIT,
    ) -> None:
        """Quantize the float ``weights``, named as in ``acoustic_model.deepspeech``.

        Raises ConversionError for a convolution.
        """
        self._context = context
        self._wide = precision.wide
        self._input = calibration.input.parameters(precision.activation_bits)
        x = self._input
        self._layers: list[tuple[str, _Linear | EmulatedLstm | _Output]] = []
        for layer in graph.layers:
            made = _make(layer, weights, calibration, x, precision)
            self._layers.append((layer.name, made))
            if not isinstance(made, _Output):
                x = made.output

    def frames(self, normalised: Tensor) -> QuantizedActivation:
        """R12: each normalised frame, float[T, F], quantized once."""
        scale, zero_point = self._input.scale, self._input.zero_point
        return QuantizedActivation(
            activation_integers(normalised, scale, zero_point, wide=self._wide),
            torch.tensor([scale], dtype=torch.float64),
            zero_point,
        )

    def windows(self, normalised: Tensor) -> Tensor:
        """R12: uint8[T, I] (int16 in wide mode) windows of frames float[T, F], oldest first."""
        integers = self.frames(normalised).integers
        edge = integers.new_full((self._context, integers.shape[1]), self._input.zero_point)
        padded = torch.cat((edge, integers, edge))
        views = padded.unfold(0, 2 * self._context + 1, 1)  # [T, F, 2 context + 1]
        kind = torch.int16 if self._wide else torch.uint8
        return views.transpose(1, 2).flatten(1).to(kind)

    def run(self, windows: Tensor) -> dict[str, QuantizedActivation]:
        """Output of every layer for one utterance, windows [T, I], by layer name."""
        outputs: dict[str, QuantizedActivation] = {}
        x = windows.double()
        with torch.no_grad():
            for name, layer in self._layers:
                x = layer.run(x)
                outputs[name] = _described(layer, x)
        return outputs


class _Linear:
    """R3 and R4 of a clipped layer."""

    def __init__(self, accumulator: Accumulator, clip: float, y: ActivationParameters) -> None:
        self.output = y
        self._accumulate = accumulator
        self._rescale = Rescaler(accumulator.scale / y.scale)
        steps = float(round_half_up(torch.tensor(clip, dtype=torch.float64) / y.scale))
        self._high = min(float(y.maximum), y.zero_point + steps)

    def run(self, x: Tensor) -> Tensor:
        y = self._rescale(self._accumulate(x)) + self.output.zero_point
        return y.clamp(self.output.zero_point, self._high)


class _Output:
    """R9: the logits are the accumulators."""

    def __init__(self, accumulator: Accumulator) -> None:
        self.scale = accumulator.scale.float().double()
        self.run = accumulator


def _described(layer: _Linear | EmulatedLstm | _Output, integers: Tensor) -> QuantizedActivation:
    if isinstance(layer, _Output):
        return QuantizedActivation(integers, layer.scale, 0)
    scale = torch.tensor([layer.output.scale], dtype=torch.float64)
    return QuantizedActivation(integers, scale, layer.output.zero_point)


def _make(
    layer: Layer,
    weights: Mapping[str, Tensor],
    calibration: Calibration,
    x: ActivationParameters,
    precision: Precision,
) -> _Linear | EmulatedLstm | _Output:
    if isinstance(layer, Linear | Output):
        accumulator = Accumulator(
            weights[f"{layer.name}.weight"], weights[f"{layer.name}.bias"], x, precision
        )
        if isinstance(layer, Output):
            return _Output(accumulator)
        y = calibration.outputs[layer.name].parameters(precision.activation_bits)
        return _Linear(accumulator, layer.clip, y)
    if isinstance(layer, Lstm):
        y = lstm_output_parameters(wide=precision.wide)
        if layer.projection:
            y = calibration.outputs[layer.name].parameters(precision.activation_bits)
        return EmulatedLstm(layer, weights, x, y, precision)
    raise ConversionError(
        f"layer {layer.name}: fake-quantize knows no convolution yet, got {layer}"
    )
