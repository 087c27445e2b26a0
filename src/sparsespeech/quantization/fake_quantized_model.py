"""The whole integer model emulated in torch from float weights, with the same bits.

Axes: T frames, I inputs of the first layer, C columns, R rows, H cells of one direction.
Gate order i, f, g, o.

Every tensor is float64 and holds integers. That is exact: sums of R3 stay below 2^31 in any order
of addition, and R4' is ``floor(acc * r + 1/2)`` with r = M / 2^s, where ``acc * M + 2^(s-1)`` is
below 2^48 and dividing by 2^s loses nothing, so one float64 product and one sum have no rounding
of their own. Weights, scales, multipliers and tables are derived here again from the float
network and the calibrated ranges; neither the converter nor the numpy reference is called, so
that bit-identical logits are evidence for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.errors import ConversionError
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.fake_quantize import (
    LARGEST_ACTIVATION,
    activation_integers,
    round_half_up,
    weight_integers,
    weight_scale,
)

Q11 = 2048.0  # gates and cell count 1/2048 (R5, R7)
Q15 = 32768.0  # sigmoid and tanh count 1/32768 (R6)
LSTM_OUTPUT_STEPS = 127.0  # R2: scale 1/127
LSTM_OUTPUT_ZERO_POINT = 128


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
    """DeepSpeech with every rounding and saturation of the integer model, in torch float64."""

    def __init__(
        self,
        graph: Graph,
        weights: Mapping[str, Tensor],
        context: int,
        calibration: Calibration,
        *,
        per_row: bool = False,
    ) -> None:
        """Quantize the float ``weights``, named as in ``acoustic_model.deepspeech``.

        Raises ConversionError for a layer other than Linear, plain Lstm and Output.
        """
        self._context = context
        self._input = calibration.input.parameters()
        scale, zero_point = self._input.scale, self._input.zero_point
        self._layers: list[tuple[str, _Linear | _Lstm | _Output]] = []
        for layer in graph.layers:
            made = _make(layer, weights, calibration, scale, zero_point, per_row=per_row)
            self._layers.append((layer.name, made))
            if not isinstance(made, _Output):
                scale, zero_point = made.output_scale, made.output_zero_point

    def frames(self, normalised: Tensor) -> QuantizedActivation:
        """R12: each normalised frame, float[T, F], quantized once."""
        scale, zero_point = self._input.scale, self._input.zero_point
        return QuantizedActivation(
            activation_integers(normalised, scale, zero_point),
            torch.tensor([scale], dtype=torch.float64),
            zero_point,
        )

    def windows(self, normalised: Tensor) -> Tensor:
        """R12: uint8[T, I] windows of normalised frames float[T, F], oldest frame first."""
        integers = self.frames(normalised).integers
        edge = integers.new_full((self._context, integers.shape[1]), self._input.zero_point)
        padded = torch.cat((edge, integers, edge))
        views = padded.unfold(0, 2 * self._context + 1, 1)  # [T, F, 2 context + 1]
        return views.transpose(1, 2).flatten(1).to(torch.uint8)

    def run(self, windows: Tensor) -> dict[str, QuantizedActivation]:
        """Output of every layer for one utterance, windows uint8[T, I], by layer name."""
        outputs: dict[str, QuantizedActivation] = {}
        x = windows.double()
        with torch.no_grad():
            for name, layer in self._layers:
                outputs[name] = layer.run(x)
                x = outputs[name].integers
        return outputs


class Accumulator:
    """R3 of one matrix: ``acc = bias + sum w*x`` with the zero point of x folded into the bias."""

    def __init__(
        self,
        weights: Tensor,
        bias: Tensor | None,
        input_scale: float,
        input_zero_point: int,
        *,
        per_row: bool,
    ) -> None:
        """``weights`` float[R, C]; ``bias`` float[R], or None for the recurrent accumulator."""
        scale = weight_scale(weights, per_row=per_row)
        integers = weight_integers(weights, scale)
        self.scale = scale[:, 0] * input_scale  # float64[1] or float64[R], s_w * s_x
        folded = -input_zero_point * integers.sum(dim=1)
        if bias is not None:
            folded = folded + round_half_up(bias.double() / self.scale)
        self._bias = folded
        self._columns = integers.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Integers [T, C] to accumulators [T, R]."""
        return x @ self._columns + self._bias


def fixed_point_ratio(ratio: Tensor) -> Tensor:
    """R13: the nearest M / 2^s with M in 2^15 .. 2^16, ties up; float64 of the shape of ``ratio``.

    In Python's floats: torch's powers of two need not be exact.
    """
    parts = [math.frexp(value) for value in ratio.tolist()]
    nearest = [
        math.ldexp(math.floor(mantissa * 65536 + 0.5), exponent - 16)
        for mantissa, exponent in parts
    ]
    return torch.tensor(nearest, dtype=torch.float64)


def rescale(accumulator: Tensor, ratio: Tensor) -> Tensor:
    """R4': one rounding, half up; ``ratio`` as :func:`fixed_point_ratio` makes it."""
    return round_half_up(accumulator * ratio)


def saturate16(value: Tensor) -> Tensor:
    """R5, R7: clamp to int16."""
    return value.clamp(-32768.0, 32767.0)


def _sigmoid_table() -> Tensor:
    """R6: float64[65536], sigma in Q0.15 of every int16 in Q4.11, from -32768 up.

    64 segments of 1/8 over |x| < 8, straight inside each, constant beyond.
    """
    base = round_half_up(Q15 * torch.sigmoid(torch.arange(65, dtype=torch.float64) / 8))
    magnitude = torch.arange(16384, dtype=torch.float64)
    segment = magnitude.div(256, rounding_mode="floor")
    fraction, index = magnitude - 256 * segment, segment.long()
    inside = base[index] + torch.floor((base.diff()[index] * fraction + 128) / 256)
    positive = torch.cat((inside, base[64].expand(16385)))  # 0 .. 32768
    return torch.cat((Q15 - positive[1:].flip(0), positive[:-1]))


_SIGMOID = _sigmoid_table()


def sigmoid(x: Tensor) -> Tensor:
    """R6: integers in Q4.11 to integers in Q0.15."""
    return _SIGMOID[(x + 32768).long()]


def tanh(x: Tensor) -> Tensor:
    """R6: ``2 sigma(2x) - 1``; Q4.11 to Q0.15."""
    return 2 * sigmoid(saturate16(2 * x)) - Q15


def next_cell(i: Tensor, f: Tensor, g: Tensor, cell: Tensor) -> Tensor:
    """R7: the new cell in Q4.11 from gates in Q0.15; i*g keeps 26 fraction bits."""
    update = torch.floor((i * g + 8) / 16)
    return saturate16(torch.floor((f * cell + update + Q15 / 2) / Q15))


def lstm_output(o: Tensor, cell: Tensor) -> Tensor:
    """R8: h of scale 1/127 and zero point 128 from the gate o and the new cell."""
    m = torch.floor((o * tanh(cell) + Q15 / 2) / Q15)
    h = round_half_up(m * LSTM_OUTPUT_STEPS / Q15) + LSTM_OUTPUT_ZERO_POINT
    return h.clamp(0.0, LARGEST_ACTIVATION)


class _Linear:
    """R3 and R4 of a clipped layer."""

    def __init__(
        self, accumulator: Accumulator, clip: float, output_scale: float, output_zero_point: int
    ) -> None:
        self.output_scale, self.output_zero_point = output_scale, output_zero_point
        self._accumulate = accumulator
        self._ratio = fixed_point_ratio(accumulator.scale / output_scale)
        steps = float(round_half_up(torch.tensor(clip, dtype=torch.float64) / output_scale))
        self._high = min(LARGEST_ACTIVATION, output_zero_point + steps)

    def run(self, x: Tensor) -> QuantizedActivation:
        y = rescale(self._accumulate(x), self._ratio) + self.output_zero_point
        return QuantizedActivation(
            y.clamp(self.output_zero_point, self._high),
            torch.tensor([self.output_scale], dtype=torch.float64),
            self.output_zero_point,
        )


class _Output:
    """R9: the logits are the accumulators."""

    def __init__(self, accumulator: Accumulator) -> None:
        self._accumulate = accumulator

    def run(self, x: Tensor) -> QuantizedActivation:
        scale = self._accumulate.scale.float().double()
        return QuantizedActivation(self._accumulate(x), scale, 0)


class LstmCell:
    """R5 to R8 of one direction."""

    def __init__(self, input_part: Accumulator, recurrent_part: Accumulator) -> None:
        self._input, self._recurrent = input_part, recurrent_part
        self._input_ratio = fixed_point_ratio(input_part.scale * Q11)
        self._recurrent_ratio = fixed_point_ratio(recurrent_part.scale * Q11)

    def input_gates(self, x: Tensor) -> Tensor:
        """R5: xp [T, 4H] of the layer's inputs [T, C]."""
        return saturate16(rescale(self._input(x), self._input_ratio))

    def step(self, xp: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """New h and cell [H] after one frame with input gates xp [4H]."""
        p = saturate16(xp + rescale(self._recurrent(h), self._recurrent_ratio))
        p_i, p_f, p_g, p_o = p.chunk(4)
        cell = next_cell(sigmoid(p_i), sigmoid(p_f), tanh(p_g), cell)
        return lstm_output(sigmoid(p_o), cell), cell

    def run(self, x: Tensor, *, backward: bool) -> Tensor:
        """Outputs h [T, H] of one utterance, from the rest state of R12."""
        xp = self.input_gates(x)
        cells = xp.shape[1] // 4
        h = xp.new_full((cells,), LSTM_OUTPUT_ZERO_POINT)
        cell = xp.new_zeros(cells)
        outputs = xp.new_empty(len(xp), cells)
        frames = range(len(xp))
        for t in reversed(frames) if backward else frames:
            h, cell = self.step(xp[t], h, cell)
            outputs[t] = h
        return outputs


class _Lstm:
    """R2: both directions have one scale and zero point, so they concatenate."""

    output_scale = 1.0 / LSTM_OUTPUT_STEPS
    output_zero_point = LSTM_OUTPUT_ZERO_POINT

    def __init__(self, directions: list[LstmCell]) -> None:
        self.directions = directions

    def run(self, x: Tensor) -> QuantizedActivation:
        parts = [cell.run(x, backward=bool(number)) for number, cell in enumerate(self.directions)]
        return QuantizedActivation(
            torch.cat(parts, dim=1),
            torch.tensor([self.output_scale], dtype=torch.float64),
            self.output_zero_point,
        )


def lstm_cell(
    weights: Mapping[str, Tensor],
    prefix: str,
    input_scale: float,
    input_zero_point: int,
    *,
    per_row: bool,
) -> LstmCell:
    """One direction from its float parameters ``PREFIX.weight_ih`` and so on."""
    bias = weights[f"{prefix}.bias_ih"].double() + weights[f"{prefix}.bias_hh"].double()
    return LstmCell(
        Accumulator(
            weights[f"{prefix}.weight_ih"], bias, input_scale, input_zero_point, per_row=per_row
        ),
        Accumulator(
            weights[f"{prefix}.weight_hh"],
            None,
            1.0 / LSTM_OUTPUT_STEPS,
            LSTM_OUTPUT_ZERO_POINT,
            per_row=per_row,
        ),
    )


def _make(
    layer: Layer,
    weights: Mapping[str, Tensor],
    calibration: Calibration,
    scale: float,
    zero_point: int,
    *,
    per_row: bool,
) -> _Linear | _Lstm | _Output:
    if isinstance(layer, Linear | Output):
        accumulator = Accumulator(
            weights[f"{layer.name}.weight"],
            weights[f"{layer.name}.bias"],
            scale,
            zero_point,
            per_row=per_row,
        )
        if isinstance(layer, Output):
            return _Output(accumulator)
        output = calibration.outputs[layer.name].parameters()
        return _Linear(accumulator, layer.clip, output.scale, output.zero_point)
    if isinstance(layer, Lstm) and not (layer.projection or layer.peephole or layer.merge == "sum"):
        return _Lstm(
            [
                lstm_cell(
                    weights, f"{layer.name}.directions.{number}", scale, zero_point, per_row=per_row
                )
                for number in range(2 if layer.bidirectional else 1)
            ]
        )
    raise ConversionError(
        f"layer {layer.name}: fake-quantize knows no convolution, projection, "
        f"peephole or summed directions yet, got {layer}"
    )
