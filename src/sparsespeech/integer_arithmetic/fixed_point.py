"""Rules R1, R2, R4, R12 and R13: rounding, saturation, scales and multipliers.

Axes: R rows of a weight matrix, C columns. All floats are float64; weights of another float type
are widened first. Every rounding to an integer is ``floor(v + 1/2)``: half up, towards plus
infinity, for negative numbers too. Shifts are arithmetic, so ``v >> s`` is ``floor(v / 2^s)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ConversionError

MULTIPLIER_MINIMUM = 1 << 15  # R4: M is in [2^15, 2^16)
MULTIPLIER_LIMIT = 1 << 16
SHIFT_MINIMUM = 1  # R4: 1 <= s <= 47
SHIFT_MAXIMUM = 47
RESCALED_LIMIT = 1 << 30  # R4: |R4'(acc)| < 2^30 is proved for every row
PEEPHOLE_LIMIT = (1 << 30) - (1 << 15)  # R5: then the three-term sum of a gate fits int32

GATE_SCALE = 1.0 / 2048.0  # Q4.11 of gates and cell (R5, R7)
LSTM_OUTPUT_SCALE = 1.0 / 127.0  # scale of an LSTM output without projection (R2)
LSTM_OUTPUT_ZERO_POINT = 128
LSTM_OUTPUT_MULTIPLIER = 65024  # R8: 127 * 512, that is 127/32768 * 2^24
LSTM_OUTPUT_SHIFT = 24
WIDE_LSTM_OUTPUT_SCALE = 1.0 / 32768.0  # wide mode (R10): h = m in Q0.15

WEIGHT_MAXIMUM = {8: 127, 12: 2047, 16: 32767}  # R1; 12 and 16 bit in wide mode (R10)


def round_half_up(value: NDArray[np.float64]) -> NDArray[np.int64]:
    """R13: ``floor(v + 1/2)`` in float64, as int64. The caller guarantees ``|v| < 2^62``."""
    return np.floor(np.asarray(value, dtype=np.float64) + 0.5).astype(np.int64)


def clamp(value: NDArray[np.int64], low: int, high: int) -> NDArray[np.int64]:
    """``min(max(v, low), high)`` of each element."""
    clamped: NDArray[np.int64] = np.clip(value, low, high)
    return clamped


def saturate16(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """R5, R7: clamp to -32768..32767."""
    return clamp(value, -32768, 32767)


def rescale(
    accumulator: NDArray[np.int64], multiplier: NDArray[np.int64], shift: NDArray[np.int64]
) -> NDArray[np.int64]:
    """R4': ``(acc*M + 2^(s-1)) >> s`` in 64 bits, one rounding, half up.

    ``accumulator``: int64[..., R], below 2^31 in magnitude (2^47 in wide mode); ``multiplier`` and
    ``shift``: int64[1] or int64[R], one entry a row.
    """
    half = np.left_shift(np.int64(1), shift - 1)
    return (accumulator.astype(np.int64) * multiplier + half) >> shift


def requantize(
    accumulator: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    shift: NDArray[np.int64],
    zero_point: int,
    low: int,
    high: int,
) -> NDArray[np.int64]:
    """R4: ``clamp(R4'(acc) + z, low, high)``; shapes as in :func:`rescale`."""
    return clamp(rescale(accumulator, multiplier, shift) + zero_point, low, high)


def choose_multiplier(ratio: float) -> tuple[int, int]:
    """R13: the (M, s) of R4 with ``M / 2^s`` nearest to ``ratio``; M in [2^15, 2^16).

    ``ratio`` is old scale over new scale, positive, about 2^-32 to 2^15. Raises ConversionError
    if it is not finite and positive, or if s would leave 1..47.
    """
    if not (math.isfinite(ratio) and ratio > 0.0):
        raise ConversionError(
            f"a requantization ratio must be finite and positive, not {ratio!r}; "
            "check the scales of the layer's input, weights and output"
        )
    fraction, exponent = math.frexp(ratio)  # ratio = fraction * 2^exponent, fraction in [1/2, 1)
    multiplier = math.floor(fraction * MULTIPLIER_LIMIT + 0.5)
    shift = 16 - exponent
    if multiplier == MULTIPLIER_LIMIT:
        multiplier, shift = MULTIPLIER_MINIMUM, shift - 1
    if not SHIFT_MINIMUM <= shift <= SHIFT_MAXIMUM:
        raise ConversionError(
            f"requantization ratio {ratio!r} needs a shift of {shift}; rule R4 allows "
            f"{SHIFT_MINIMUM} to {SHIFT_MAXIMUM} (ratios from 2^-32 to 2^15); "
            "check the scales of the layer's input, weights and output"
        )
    return multiplier, shift


def choose_multipliers(
    ratios: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """:func:`choose_multiplier` for float64[1] or float64[R]: int64 multipliers and shifts."""
    pairs = [choose_multiplier(float(ratio)) for ratio in np.atleast_1d(ratios)]
    multipliers, shifts = zip(*pairs, strict=True)
    return np.array(multipliers, dtype=np.int64), np.array(shifts, dtype=np.int64)


def weight_scale(
    weights: NDArray[np.floating[Any]], *, bits: int = 8, per_row: bool = False
) -> NDArray[np.float64]:
    """R1: ``max|w| / 127`` (2047 or 32767 for 12 or 16 bits): float64[1], or float64[R] per row.

    ``weights``: float[R, C]. An all-zero matrix has scale 1 (R13). With ``per_row`` an all-zero
    row takes the largest scale of the matrix. Raises ConversionError on a weight that is not
    finite or so small that its scale is not a normal float.
    """
    magnitude = np.abs(np.asarray(weights, dtype=np.float64))
    if not np.isfinite(magnitude).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(magnitude))[0])
        raise ConversionError(f"weight {where} is not finite; the training run has diverged")
    whole = magnitude.max(initial=0.0) / WEIGHT_MAXIMUM[bits]
    if whole == 0.0:
        whole = 1.0
    if not per_row:
        scale = np.array([whole])
    else:
        scale = magnitude.max(axis=1, initial=0.0) / WEIGHT_MAXIMUM[bits]
        scale = np.where(magnitude.any(axis=1), scale, whole)
    if (scale < np.finfo(np.float64).tiny).any():
        raise ConversionError(f"weights are too small to quantize: scale {float(scale.min())!r}")
    return scale


def quantize_weights(
    weights: NDArray[np.floating[Any]], *, bits: int = 8, per_row: bool = False
) -> tuple[NDArray[np.int16], NDArray[np.float64]]:
    """R1: symmetric integers int16[R, C] in -127..127 (-2047.., -32767..) and their scale.

    ``weights``: float[R, C], pruned weights exactly 0. The scale is that of :func:`weight_scale`.
    Raises ConversionError as :func:`weight_scale` does.
    """
    scale = weight_scale(weights, bits=bits, per_row=per_row)
    limit = WEIGHT_MAXIMUM[bits]
    integers = round_half_up(np.asarray(weights, dtype=np.float64) / scale[:, np.newaxis])
    return np.clip(integers, -limit, limit).astype(np.int16), scale


def fold_bias(
    bias: NDArray[np.floating[Any]],
    accumulator_scale: NDArray[np.float64],
    input_zero_point: int,
    weight_row_sum: NDArray[np.int64],
) -> NDArray[np.int64]:
    """R3: ``floor(b/(s_w*s_x) + 1/2) - z_x*sum(w)``, int64[R].

    ``bias``: float[R]; ``accumulator_scale``: ``s_w*s_x``, float64[1] or float64[R];
    ``weight_row_sum``: int64[R]. Raises ConversionError if the result leaves the widest
    accumulator (2^47); the bound of the accumulator itself is in ``accumulator_bounds``.
    """
    real = np.asarray(bias, dtype=np.float64) / accumulator_scale
    if not (np.abs(real) < 2.0**47).all():  # also false for NaN
        row = int(np.argmin(np.abs(real) < 2.0**47))
        raise ConversionError(
            f"bias of row {row} is {float(real[row])!r} accumulator steps; at most 2^47 fit. "
            "Raise the layer's weight decay or quantize with one scale per matrix"
        )
    return round_half_up(real) - input_zero_point * weight_row_sum


@dataclass(frozen=True)
class ActivationParameters:
    """R2: ``x = scale * (q - zero_point)``, q in ``minimum..maximum``."""

    scale: float
    zero_point: int
    minimum: int
    maximum: int

    def quantize(self, x: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
        """R12: ``clamp(floor(x/s + 0.5) + z, minimum, maximum)`` in float64; any shape."""
        steps = np.floor(np.asarray(x, dtype=np.float64) / self.scale + 0.5) + self.zero_point
        limited: NDArray[np.float64] = np.clip(steps, self.minimum, self.maximum)
        return limited.astype(np.int64)

    def clamp_limits(self, clip: float) -> tuple[int, int]:
        """R4: low and high of ReLU or Hardtanh(0, clip): z and ``min(max, z + round(clip/s))``."""
        steps = math.floor(min(clip / self.scale, float(self.maximum)) + 0.5)
        return self.zero_point, min(self.maximum, self.zero_point + steps)


def activation_parameters(minimum: float, maximum: float, *, bits: int = 8) -> ActivationParameters:
    """R2: scale and zero point of the observed range, widened to hold 0.

    8 bits: ``scale = (max - min)/255``, ``z = clamp(floor(-min/scale + 1/2), 0, 255)``.
    16 bits (wide mode, R10): ``scale = max(-min, max)/32767``, z = 0. A range that is only
    {0} has scale 1. Raises ConversionError on a range that is not finite or is reversed.
    """
    if not (math.isfinite(minimum) and math.isfinite(maximum) and minimum <= maximum):
        raise ConversionError(
            f"an activation range must be finite with minimum <= maximum, not "
            f"{minimum!r}..{maximum!r}; calibrate on more data"
        )
    low, high = min(minimum, 0.0), max(maximum, 0.0)
    if bits == 16:
        scale = max(-low, high) / 32767.0 or 1.0
        return ActivationParameters(scale, 0, -32768, 32767)
    scale = (high - low) / 255.0 or 1.0
    zero_point = min(max(math.floor(-low / scale + 0.5), 0), 255)
    return ActivationParameters(scale, zero_point, 0, 255)
