"""The steps of the integer arithmetic in torch (rules R3 to R8, R10, R13), from float weights.

Axes: T frames, C columns, R rows, H cells of one direction.

Every tensor is float64 and holds integers. Sums of R3 and R10 stay below 2^47 in any order of
addition, and products with a gate or a cell below 2^31: float64 has no rounding of its own there.
Only R4' needs up to 63 bits, so it alone is computed in int64. Neither the converter nor the numpy
reference is called, so that bit-identical logits are evidence for both.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from sparsespeech.integer_arithmetic.fixed_point import ActivationParameters
from sparsespeech.quantization.fake_quantize import (
    LARGEST_ACTIVATION,
    round_half_up,
    weight_integers,
    weight_scale,
)
from sparsespeech.quantization.precision import Precision

Q11 = 2048.0  # gates and cell count 1/2048 (R5, R7)
Q15 = 32768.0  # sigmoid and tanh count 1/32768 (R6)
LSTM_OUTPUT_STEPS = 127.0  # R2: scale 1/127
LSTM_OUTPUT_ZERO_POINT = 128
SEGMENTS, WIDE_SEGMENTS = 64, 512  # R6, R10


class Accumulator:
    """R3 of one matrix: ``acc = bias + sum w*x`` with the zero point of x folded into the bias."""

    def __init__(
        self,
        weights: Tensor,
        bias: Tensor | None,
        x: ActivationParameters,
        precision: Precision,
    ) -> None:
        """``weights`` float[R, C]; ``bias`` float[R], or None where only the zero point counts.

        ``x``: scale and zero point of the input.
        """
        bits = precision.weight_bits
        scale = weight_scale(weights, bits=bits, per_row=precision.per_row)
        integers = weight_integers(weights, scale, bits=bits)
        self.scale = scale[:, 0] * x.scale  # float64[1] or float64[R], s_w * s_x
        folded = -x.zero_point * integers.sum(dim=1)
        if bias is not None:
            folded = folded + round_half_up(bias.double() / self.scale)
        self._bias = folded
        self._columns = integers.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Integers [T, C] to accumulators [T, R]."""
        return x @ self._columns + self._bias


class Rescaler:
    """R4' by the multipliers and shifts that R13 gives for real ratios."""

    def __init__(self, ratios: Tensor) -> None:
        """``ratios``: float64[1] or float64[R], finite and positive."""
        pairs = [_nearest(*math.frexp(ratio)) for ratio in ratios.tolist()]
        self.multiplier = torch.tensor([multiplier for multiplier, _ in pairs])
        self.shift = torch.tensor([shift for _, shift in pairs])
        self._half = torch.tensor([1 << (shift - 1) for _, shift in pairs])

    def __call__(self, accumulator: Tensor) -> Tensor:
        """One rounding, half up: float64[..., R] of float64[..., R], below 2^47 in magnitude."""
        # Shifts of int64 are arithmetic: they round towards minus infinity.
        return ((accumulator.long() * self.multiplier + self._half) >> self.shift).double()


def _nearest(mantissa: float, exponent: int) -> tuple[int, int]:
    """R13: M and s of ``mantissa * 2^exponent``, 1/2 <= mantissa < 1; M = 65536 is halved."""
    multiplier = math.floor(mantissa * 65536 + 0.5)
    carry = multiplier >> 16
    return multiplier >> carry, 16 - exponent - carry


def saturate16(value: Tensor) -> Tensor:
    """R5, R7: clamp to int16."""
    return value.clamp(-32768.0, 32767.0)


@cache
def _sigmoid_table(segments: int) -> Tensor:
    """R6, R10: float64[65536], sigma in Q0.15 of every int16 in Q4.11, from -32768 up.

    ``segments`` equal ones over |x| < 8, straight inside each, constant beyond.
    """
    width = 16384 // segments
    steps = 8 * torch.arange(segments + 1, dtype=torch.float64) / segments
    base = round_half_up(Q15 * torch.sigmoid(steps))
    magnitude = torch.arange(16384, dtype=torch.float64)
    segment = magnitude.div(width, rounding_mode="floor")
    fraction, index = magnitude - width * segment, segment.long()
    inside = base[index] + torch.floor((base.diff()[index] * fraction + width / 2) / width)
    positive = torch.cat((inside, base[segments].expand(16385)))  # 0 .. 32768
    return torch.cat((Q15 - positive[1:].flip(0), positive[:-1]))


def sigmoid(x: Tensor, *, wide: bool = False) -> Tensor:
    """R6: integers in Q4.11 to integers in Q0.15."""
    return _sigmoid_table(WIDE_SEGMENTS if wide else SEGMENTS)[(x + 32768).long()]


def tanh(x: Tensor, *, wide: bool = False) -> Tensor:
    """R6: ``2 sigma(2x) - 1``; Q4.11 to Q0.15."""
    return 2 * sigmoid(saturate16(2 * x), wide=wide) - Q15


def next_cell(i: Tensor, f: Tensor, g: Tensor, cell: Tensor) -> Tensor:
    """R7: the new cell in Q4.11 from gates in Q0.15; i*g keeps 26 fraction bits."""
    update = torch.floor((i * g + 8) / 16)
    return saturate16(torch.floor((f * cell + update + Q15 / 2) / Q15))


def lstm_output(o: Tensor, cell: Tensor, *, wide: bool = False) -> Tensor:
    """R8: h of scale 1/127 and zero point 128 from the gate o and the new cell; R10: h = m."""
    m = torch.floor((o * tanh(cell, wide=wide) + Q15 / 2) / Q15)
    if wide:
        return m
    h = round_half_up(m * LSTM_OUTPUT_STEPS / Q15) + LSTM_OUTPUT_ZERO_POINT
    return h.clamp(0.0, LARGEST_ACTIVATION)


def lstm_output_parameters(*, wide: bool) -> ActivationParameters:
    """R2, R10: scale and zero point of an LSTM output without projection."""
    if wide:
        return ActivationParameters(1.0 / Q15, 0, -32768, 32767)
    return ActivationParameters(1.0 / LSTM_OUTPUT_STEPS, LSTM_OUTPUT_ZERO_POINT, 0, 255)
