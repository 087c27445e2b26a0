"""Normalising, quantising and windowing feature frames (rule R12).

Axes: T frames, F coefficients of a frame, N context frames on each side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.model import InputQuantization


def quantize_frames(
    frames: NDArray[np.float64], quantization: InputQuantization, activation_bits: int = 8
) -> NDArray[Any]:
    """uint8[T, F]: ``clamp(floor((x - mean) / deviation / s + 0.5) + z, 0, 255)`` in float64.

    ``activation_bits`` 16 (wide mode, R10): int16[T, F], clamped to -32768..32767.
    """
    kind = frame_type(activation_bits)
    normalised = (frames - quantization.mean) / quantization.deviation
    steps = np.floor(normalised / quantization.scale + 0.5) + quantization.zero_point
    limits = np.iinfo(kind)
    quantized: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(kind)
    return quantized


def frame_type(activation_bits: int) -> np.dtype[Any]:
    """Type of quantised frames and windows: uint8, or int16 in wide mode (R10)."""
    return np.dtype(np.int16 if activation_bits == 16 else np.uint8)


def context_windows(frames: NDArray[Any], context: int, padding: float) -> NDArray[Any]:
    """Windows [T, (2 N + 1) F], oldest frame first, of frames [T, F] of any dtype.

    Frames beyond the ends are ``padding``: the zero point z_x for quantised frames, 0.0 for
    normalised float frames.
    """
    count, width = frames.shape
    padded = np.full((count + 2 * context, width), padding, dtype=frames.dtype)
    padded[context : context + count] = frames
    return inner_windows(padded, context)


def inner_windows(frames: NDArray[Any], context: int) -> NDArray[Any]:
    """Windows [max(0, T - 2 N), (2 N + 1) F] of those frames [T, F] that have all neighbours."""
    frames = np.ascontiguousarray(frames)
    width, step = frames.shape[1], frames.itemsize
    shape = (max(0, len(frames) - 2 * context), (2 * context + 1) * width)
    # One window is a run of consecutive numbers in memory; the next begins one frame later.
    views: NDArray[Any] = np.ndarray(shape, frames.dtype, frames, strides=(width * step, step))
    return views.copy()
