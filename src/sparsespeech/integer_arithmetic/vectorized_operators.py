"""Rules R3, R4, R9 and R11 over blocks of frames; same bits as ``operators``, much faster.

Axes: T frames, R rows, C columns, K channels, F frequency bins. Activations are uint8, or int16 in
wide mode. The proofs of R3 and R10 are what allows int32 (int64 in wide mode) sums in whatever
order scipy takes them. Memory grows with T by the activations only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sparsespeech.graph import Conv2d
from sparsespeech.integer_arithmetic.fixed_point import requantize
from sparsespeech.integer_arithmetic.operators import output_size, pad_map
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    LinearLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)

Activations = NDArray[np.integer[Any]]

FRAMES_AT_ONCE = 128  # the accumulators of a block (1 KiB a row) stay in the second-level cache
CONVOLUTION_FRAMES_AT_ONCE = 16  # a patch repeats its inputs, so fewer frames fill the cache


def frame_blocks(frames: int, size: int = FRAMES_AT_ONCE) -> Iterator[slice]:
    """Slices of at most ``size`` frames that cover ``range(frames)`` in order."""
    for start in range(0, frames, size):
        yield slice(start, min(start + size, frames))


def compressed_rows(weights: SparseMatrix, *, wide: bool) -> csr_array:
    """The matrix for scipy's product, with int32 values (int64 in wide mode)."""
    kind = np.int64 if wide else np.int32
    return csr_array(
        (weights.value.astype(kind), weights.column, weights.row_start), shape=weights.shape
    )


def activation_type(*, wide: bool) -> type[np.integer[Any]]:
    """R2: uint8; R10: int16."""
    return np.int16 if wide else np.uint8


class SparseProduct:
    """R3 for one matrix."""

    def __init__(self, weights: SparseMatrix, bias: NDArray[np.int64], *, wide: bool) -> None:
        """``weights``: [R, C], ``bias``: int64[R]; the bound of R3 (R10 if ``wide``) is proved."""
        self._matrix = compressed_rows(weights, wide=wide)
        self._bias = bias

    def accumulate(self, x: Activations) -> NDArray[np.int64]:
        """R3: exact accumulators, int64[T, R], of integers [T, C]."""
        columns = np.ascontiguousarray(x.T, dtype=self._matrix.dtype)
        result: NDArray[np.int64] = (self._matrix @ columns).T.astype(np.int64, order="C")
        result += self._bias
        return result


class VectorizedLinear:
    """R3 and R4 of a fully connected layer."""

    def __init__(self, layer: LinearLayer, *, wide: bool) -> None:
        """Prepare the matrix of ``layer``; ``wide`` is R10."""
        self._layer = layer
        self._product = SparseProduct(layer.weights, layer.bias, wide=wide)
        self._type = activation_type(wide=wide)

    def run(self, x: Activations) -> Activations:
        """Activations [T, C] to activations [T, R]."""
        result = np.empty((x.shape[0], self._layer.weights.shape[0]), dtype=self._type)
        for block in frame_blocks(x.shape[0]):
            result[block] = _requantized(self._layer, self._product.accumulate(x[block]))
        return result


class VectorizedOutput:
    """R9: accumulators of the output layer."""

    def __init__(self, layer: OutputLayer, *, wide: bool) -> None:
        """Prepare the matrix of ``layer``; ``wide`` is R10."""
        self._labels = layer.weights.shape[0]
        self._product = SparseProduct(layer.weights, layer.bias, wide=wide)

    def run(self, x: Activations) -> NDArray[np.int64]:
        """Activations [T, C] to logits int64[T, V]."""
        result = np.empty((x.shape[0], self._labels), dtype=np.int64)
        for block in frame_blocks(x.shape[0]):
            result[block] = self._product.accumulate(x[block])
        return result


class VectorizedConvolution:
    """R11: R3 and R4 on all patches of a block of output frames at once."""

    def __init__(self, layer: ConvolutionLayer, geometry: Conv2d, *, wide: bool) -> None:
        """Prepare the matrix of ``layer``; kernel, stride and padding come from ``geometry``."""
        self._layer = layer
        self._geometry = geometry
        self._product = SparseProduct(layer.weights, layer.bias, wide=wide)
        self._type = activation_type(wide=wide)

    def run(self, x: Activations) -> Activations:
        """Activations [T, K*F] to activations [T', R*F'], index ``channel*F' + bin``."""
        padded = pad_map(self._layer, self._geometry, x.astype(np.int64))
        frames, bins = output_size(padded.shape[1:], self._geometry)
        rows = self._layer.weights.shape[0]
        result = np.empty((frames, rows, bins), dtype=self._type)
        if result.size == 0:
            return result.reshape(frames, rows * bins)
        stride_t, stride_f = self._geometry.stride
        windows = sliding_window_view(padded, self._geometry.kernel, axis=(1, 2))
        patches = windows[:, ::stride_t, ::stride_f].transpose(1, 2, 0, 3, 4)  # T', F', K, k_t, k_f
        for block in frame_blocks(frames, CONVOLUTION_FRAMES_AT_ONCE):
            columns = patches[block].reshape((block.stop - block.start) * bins, -1)
            outputs = _requantized(self._layer, self._product.accumulate(columns))
            result[block] = outputs.reshape(-1, bins, rows).transpose(0, 2, 1)
        return result.reshape(frames, rows * bins)


def every_row(scales: Requantizer, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """R4: multipliers and shifts spelled out for each of ``rows`` rows."""
    return np.broadcast_to(scales.multiplier, rows), np.broadcast_to(scales.shift, rows)


def _requantized(
    layer: LinearLayer | ConvolutionLayer, accumulator: NDArray[np.int64]
) -> NDArray[np.int64]:
    """R4 with the constants of ``layer``."""
    return requantize(
        accumulator,
        layer.requantize.multiplier,
        layer.requantize.shift,
        layer.output_zero_point,
        layer.low,
        layer.high,
    )
