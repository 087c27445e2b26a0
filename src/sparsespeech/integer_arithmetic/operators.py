"""Rules R3, R4, R9 and R11 as plain loops: the definition that faster code is compared with.

Axes: T frames, R rows (outputs), C columns (inputs), K channels, F frequency bins.
Activations are integers (uint8 values, int16 in wide mode) and travel as int64; so do
accumulators and logits. Clarity comes first here; ``vectorized_operators`` has the same bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Conv2d
from sparsespeech.integer_arithmetic.fixed_point import clamp, requantize, saturate16
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    LinearLayer,
    OutputLayer,
    SparseMatrix,
)

Integers = NDArray[np.int64]


def accumulate(weights: SparseMatrix, bias: Integers, x: Integers) -> Integers:
    """R3: ``acc[t, r] = bias[r] + sum w[r, c] * x[t, c]`` over the nonzeros of row r.

    ``weights``: [R, C]; ``bias``: int64[R]; ``x``: int64[T, C]. Returns int64[T, R].
    """
    frames, rows = x.shape[0], weights.shape[0]
    result = np.empty((frames, rows), dtype=np.int64)
    for t in range(frames):
        for row in range(rows):
            nonzeros = slice(int(weights.row_start[row]), int(weights.row_start[row + 1]))
            products = weights.value[nonzeros].astype(np.int64) * x[t, weights.column[nonzeros]]
            result[t, row] = bias[row] + products.sum()
    return result


def linear(layer: LinearLayer, x: Integers) -> Integers:
    """R3 and R4: a fully connected layer; int64[T, C] to int64[T, R]."""
    accumulator = accumulate(layer.weights, layer.bias, x)
    return requantize(
        accumulator,
        layer.requantize.multiplier,
        layer.requantize.shift,
        layer.output_zero_point,
        layer.low,
        layer.high,
    )


def output(layer: OutputLayer, x: Integers) -> Integers:
    """R9: the logits are the accumulators; int64[T, C] to int64[T, V]."""
    return accumulate(layer.weights, layer.bias, x)


def convolution(layer: ConvolutionLayer, geometry: Conv2d, x: Integers) -> Integers:
    """R11: R3 and R4 on each patch, borders z_x.

    ``x``: int64[T, K*F] with index ``channel*F + bin``. Returns int64[T', R*F'].
    """
    padded = pad_map(layer, geometry, x)  # [K, T + 2 p_t, F + 2 p_f]
    (kernel_t, kernel_f), (stride_t, stride_f) = geometry.kernel, geometry.stride
    frames, bins = output_size(padded.shape[1:], geometry)
    result = np.empty((frames, layer.weights.shape[0], bins), dtype=np.int64)
    for t in range(frames):
        for position in range(bins):
            top, left = t * stride_t, position * stride_f
            patch = padded[:, top : top + kernel_t, left : left + kernel_f].reshape(1, -1)
            accumulator = accumulate(layer.weights, layer.bias, patch)
            result[t, :, position] = requantize(
                accumulator,
                layer.requantize.multiplier,
                layer.requantize.shift,
                layer.output_zero_point,
                layer.low,
                layer.high,
            )[0]
    return result.reshape(frames, layer.weights.shape[0] * bins)


def pad_map(layer: ConvolutionLayer, geometry: Conv2d, x: Integers) -> Integers:
    """R11: [T, K*F] as a map [K, T + 2 p_t, F + 2 p_f] whose borders are z_x."""
    channels = geometry.input_channels
    if x.shape[1] % channels:
        raise ValueError(
            f"convolution {layer.name!r}: {x.shape[1]} inputs are no multiple of its "
            f"{channels} input channels"
        )
    channel_map = x.reshape(x.shape[0], channels, x.shape[1] // channels).transpose(1, 0, 2)
    pad_t, pad_f = geometry.padding
    return np.pad(
        channel_map,
        ((0, 0), (pad_t, pad_t), (pad_f, pad_f)),
        constant_values=layer.input_zero_point,
    )


def output_size(padded: tuple[int, ...], geometry: Conv2d) -> tuple[int, int]:
    """R11: (T', F') of a padded map of (frames, bins)."""
    frames, bins = (
        max(0, (size - kernel) // stride + 1)
        for size, kernel, stride in zip(padded, geometry.kernel, geometry.stride, strict=True)
    )
    return frames, bins


def sum_of_directions(
    forward: Integers, backward: Integers, zero_point: int, *, wide: bool
) -> Integers:
    """R11: ``clamp(h_f + h_b - z_h, 0, 255)``, in wide mode ``saturate16(h_f + h_b)``."""
    if wide:
        return saturate16(forward + backward)
    return clamp(forward + backward - zero_point, 0, 255)
