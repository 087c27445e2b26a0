"""Quantize and dequantize in torch, with a straight-through gradient (rules R1, R2 and R10).

Axes: R rows of a weight matrix, C columns.

The forward results are the integers of R1, R2 and R12, multiplied back, bit for bit: division,
rounding and multiplication in float64 whatever the type of the input. Nothing here calls the
numpy reference, so that their agreement is evidence. The gradient passes as if nothing had been
rounded, except where a value was clamped: there it is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

LARGEST_WEIGHT = {8: 127.0, 12: 2047.0, 16: 32767.0}  # R1; 12 and 16 bits in wide mode (R10)
LARGEST_ACTIVATION = 255.0  # R2
WIDE_RANGE = (-32768.0, 32767.0)  # R10: activations of wide mode


def round_half_up(value: Tensor) -> Tensor:
    """R13: ``floor(v + 1/2)`` of float64 of any shape. ``torch.round`` differs on ties."""
    return torch.floor(value + 0.5)


def weight_scale(weights: Tensor, *, bits: int = 8, per_row: bool = False) -> Tensor:
    """R1: ``max|w| / 127`` of float[R, C]: float64[1, 1], or float64[R, 1] per row.

    2047 or 32767 take the place of 127 for 12 or 16 bits (R10). An all-zero matrix has scale 1;
    an all-zero row takes the largest row scale (R13, R1).
    """
    magnitude = weights.detach().double().abs()
    whole = magnitude.max() / LARGEST_WEIGHT[bits]
    whole = torch.where(whole > 0, whole, 1.0)
    if not per_row:
        return whole.view(1, 1)
    rows = magnitude.amax(dim=1, keepdim=True)
    return torch.where(rows > 0, rows / LARGEST_WEIGHT[bits], whole)


def weight_integers(weights: Tensor, scale: Tensor, *, bits: int = 8) -> Tensor:
    """R1: float64[R, C] that holds integers -127..127 (-2047.., -32767..).

    ``scale`` is that of :func:`weight_scale` for the same ``bits``.
    """
    steps = round_half_up(weights.detach().double() / scale)
    return steps.clamp(-LARGEST_WEIGHT[bits], LARGEST_WEIGHT[bits])


def activation_range(*, wide: bool) -> tuple[float, float]:
    """Smallest and largest integer of an activation: 0..255 (R2), -32768..32767 (R10)."""
    return WIDE_RANGE if wide else (0.0, LARGEST_ACTIVATION)


def activation_integers(x: Tensor, scale: float, zero_point: int, *, wide: bool = False) -> Tensor:
    """R12: float64 that holds integers 0..255 (int16 in wide mode), of the shape of ``x``."""
    return _activation_steps(x, scale, zero_point).clamp(*activation_range(wide=wide))


def _activation_steps(x: Tensor, scale: float, zero_point: int) -> Tensor:
    return round_half_up(x.detach().double() / scale) + zero_point


def fake_quantize_weights(weights: Tensor, *, bits: int = 8, per_row: bool = False) -> Tensor:
    """Weights [R, C] as the integer model has them, in their own dtype; zeros stay zero.

    The gradient passes unchanged: with the scale at the largest weight nothing is clamped.
    """
    quantize: Callable[..., Tensor] = _FakeQuantizeWeights.apply
    return quantize(weights, bits, per_row)


def fake_quantize_activations(
    x: Tensor, scale: float, zero_point: int, *, wide: bool = False
) -> Tensor:
    """Activations of any shape as uint8 (int16 in wide mode) represents them, in their own dtype.

    The gradient is passed where ``x`` lies inside the representable range and is 0 elsewhere.
    """
    quantize: Callable[..., Tensor] = _FakeQuantizeActivations.apply
    return quantize(x, scale, zero_point, wide)


class _FakeQuantizeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, bits: int, per_row: bool) -> Tensor:
        scale = weight_scale(weights, bits=bits, per_row=per_row)
        return (weight_integers(weights, scale, bits=bits) * scale).to(weights.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None, None


class _FakeQuantizeActivations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int, wide: bool) -> Tensor:
        steps = _activation_steps(x, scale, zero_point)
        integers = steps.clamp(*activation_range(wide=wide))
        ctx.save_for_backward(steps == integers)
        return ((integers - zero_point) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None, None
