"""Normalising, quantising and windowing feature frames (rule R12).

Axes: T frames, F coefficients of a frame, N context frames on each side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.model import InputQuantization


def quantize_frames(
    frames: NDArray[np.float64], quantization: InputQuantization
) -> NDArray[np.uint8]:
    """uint8[T, F]: ``clamp(floor((x - mean) / deviation / s + 0.5) + z, 0, 255)`` in float64."""
    normalised = (frames - quantization.mean) / quantization.deviation
    steps = np.floor(normalised / quantization.scale + 0.5) + quantization.zero_point
    quantized: NDArray[np.uint8] = np.clip(steps, 0, 255).astype(np.uint8)
    return quantized


def context_windows(frames: NDArray[Any], context: int, padding: float) -> NDArray[Any]:
    """Windows [T, (2 N + 1) F], oldest frame first, of frames [T, F] of any dtype.

    Frames beyond the ends are ``padding``: the zero point z_x for uint8 frames, 0.0 for
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
