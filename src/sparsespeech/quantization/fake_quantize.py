"""Quantize and dequantize in torch, with a straight-through gradient (rules R1 and R2).

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

LARGEST_WEIGHT = 127.0  # R1
LARGEST_ACTIVATION = 255.0  # R2


def round_half_up(value: Tensor) -> Tensor:
    """R13: ``floor(v + 1/2)`` of float64 of any shape. ``torch.round`` differs on ties."""
    return torch.floor(value + 0.5)


def weight_scale(weights: Tensor, *, per_row: bool = False) -> Tensor:
    """R1: ``max|w| / 127`` of float[R, C]: float64[1, 1], or float64[R, 1] per row.

    An all-zero matrix has scale 1; an all-zero row takes the largest row scale (R13, R1).
    """
    magnitude = weights.detach().double().abs()
    whole = magnitude.max() / LARGEST_WEIGHT
    whole = torch.where(whole > 0, whole, 1.0)
    if not per_row:
        return whole.view(1, 1)
    rows = magnitude.amax(dim=1, keepdim=True)
    return torch.where(rows > 0, rows / LARGEST_WEIGHT, whole)


def weight_integers(weights: Tensor, scale: Tensor) -> Tensor:
    """R1: float64[R, C] that holds integers -127..127; ``scale`` as of :func:`weight_scale`."""
    steps = round_half_up(weights.detach().double() / scale)
    return steps.clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)


def activation_integers(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """R12: float64 that holds integers 0..255, of the shape of ``x``."""
    return _activation_steps(x, scale, zero_point).clamp(0.0, LARGEST_ACTIVATION)


def _activation_steps(x: Tensor, scale: float, zero_point: int) -> Tensor:
    return round_half_up(x.detach().double() / scale) + zero_point


def fake_quantize_weights(weights: Tensor, *, per_row: bool = False) -> Tensor:
    """Weights [R, C] as the integer model has them, in their own dtype; zeros stay zero.

    The gradient passes unchanged: with the scale at the largest weight nothing is clamped.
    """
    quantize: Callable[..., Tensor] = _FakeQuantizeWeights.apply
    return quantize(weights, per_row)


def fake_quantize_activations(x: Tensor, scale: float, zero_point: int) -> Tensor:
    """Activations of any shape as uint8 represents them, in their own dtype.

    The gradient is passed where ``x`` lies inside the representable range and is 0 elsewhere.
    """
    quantize: Callable[..., Tensor] = _FakeQuantizeActivations.apply
    return quantize(x, scale, zero_point)


class _FakeQuantizeWeights(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, per_row: bool) -> Tensor:
        scale = weight_scale(weights, per_row=per_row)
        return (weight_integers(weights, scale) * scale).to(weights.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None


class _FakeQuantizeActivations(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float, zero_point: int) -> Tensor:
        steps = _activation_steps(x, scale, zero_point)
        integers = steps.clamp(0.0, LARGEST_ACTIVATION)
        ctx.save_for_backward(steps == integers)
        return ((integers - zero_point) * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None, None
