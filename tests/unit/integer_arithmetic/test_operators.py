"""Rules R3, R4, R9 and R11 of the definitional operators, against dense numpy and scipy.signal."""

import numpy as np
import pytest
from scipy.signal import correlate2d

from sparsespeech.graph import Conv2d
from sparsespeech.integer_arithmetic import operators
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    LinearLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)

HALF_RATIO = Requantizer(np.array([32768]), np.array([16]))  # R4' halves, ties up


def sparse(dense):
    counts = (dense != 0).sum(axis=1)
    return SparseMatrix(
        dense.shape,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.nonzero(dense)[1].astype(np.int32),
        dense[dense != 0].astype(np.int8),
    )


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (16, 65), (64, 16)])
def test_accumulate_is_the_dense_product(rows, columns):
    rng = np.random.default_rng(rows)
    dense = rng.integers(-128, 128, (rows, columns)) * (rng.random((rows, columns)) < 0.4)
    bias = rng.integers(-(10**6), 10**6, rows)
    x = rng.integers(0, 256, (7, columns))
    got = operators.accumulate(sparse(dense), bias, x)
    np.testing.assert_array_equal(got, x @ dense.T + bias)
    assert got.dtype == np.int64


def test_linear_requantizes_and_clamps():
    layer = LinearLayer(
        "layer1", sparse(np.array([[1, 0], [0, -1], [2, 2]])), np.array([0, 3, -400]),
        HALF_RATIO, output_zero_point=10, low=10, high=100,
    )  # fmt: skip
    got = operators.linear(layer, np.array([[5, 0], [255, 255], [0, 4]]))
    # row 0: 5/2 up to 3; row 1: 3/2 up to 2, -126, -1/2 up to 0; row 2: -195, 310, -196
    assert got.tolist() == [[13, 12, 10], [100, 10, 100], [10, 10, 10]]


def test_output_is_the_accumulator():
    layer = OutputLayer(
        "output", sparse(np.array([[3, -2]])), np.array([7]), np.ones(1, np.float32)
    )
    assert operators.output(layer, np.array([[1, 2], [0, 0]])).tolist() == [[6], [7]]


GEOMETRIES = [
    Conv2d("conv", 1, 2, (1, 1), (1, 1), (0, 0)),
    Conv2d("conv", 1, 3, (3, 2), (1, 1), (0, 0)),
    Conv2d("conv", 2, 3, (3, 3), (1, 1), (1, 1)),
    Conv2d("conv", 3, 2, (4, 3), (2, 3), (2, 1)),
    Conv2d("conv", 2, 2, (2, 5), (3, 2), (0, 3)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("frames", [4, 7])
def test_convolution_is_the_sum_of_correlations(geometry, frames):
    rng = np.random.default_rng(frames)
    channels, rows, bins, border = geometry.input_channels, geometry.output_channels, 6, 77
    kernels = rng.integers(-128, 128, (rows, channels, *geometry.kernel))
    bias = rng.integers(-1000, 1000, rows)
    x = rng.integers(0, 256, (frames, channels, bins))
    layer = ConvolutionLayer(
        "conv", sparse(kernels.reshape(rows, -1)), bias,
        Requantizer(np.full(rows, 32768), np.arange(20, 20 + rows)),
        input_zero_point=border, output_zero_point=9, low=9, high=250,
    )  # fmt: skip
    got = operators.convolution(layer, geometry, x.reshape(frames, -1))

    (p_t, p_f), (d_t, d_f) = geometry.padding, geometry.stride
    padded = np.pad(x, ((p_t, p_t), (0, 0), (p_f, p_f)), constant_values=border)
    maps = []
    for row in range(rows):
        total = bias[row] + sum(
            correlate2d(padded[:, channel], kernels[row, channel], mode="valid")
            for channel in range(channels)
        )
        strided = total[::d_t, ::d_f] / 2.0 ** (5 + row)  # M/2^s
        maps.append(np.clip(np.floor(strided + 0.5) + 9, 9, 250))
    expected = np.stack(maps, axis=1)  # [T', O, F']
    np.testing.assert_array_equal(got, expected.reshape(len(expected), -1))


def test_a_map_smaller_than_the_kernel_gives_nothing():
    geometry = Conv2d("conv", 1, 2, (5, 3), (2, 1), (1, 0))
    layer = ConvolutionLayer(
        "conv", sparse(np.ones((2, 15), dtype=int)), np.zeros(2, np.int64), HALF_RATIO, 0, 0, 0, 255
    )
    assert operators.convolution(layer, geometry, np.zeros((2, 8), np.int64)).shape == (0, 12)
    assert operators.convolution(layer, geometry, np.zeros((3, 8), np.int64)).shape == (1, 12)
    assert operators.convolution(layer, geometry, np.zeros((0, 8), np.int64)).shape == (0, 12)


def test_a_width_that_is_no_multiple_of_the_channels_is_refused():
    geometry = Conv2d("conv", 3, 1, (1, 1), (1, 1), (0, 0))
    layer = ConvolutionLayer(
        "conv", sparse(np.ones((1, 3), dtype=int)), np.zeros(1, np.int64), HALF_RATIO, 0, 0, 0, 255
    )
    with pytest.raises(ValueError, match="'conv': 8 inputs are no multiple of its 3"):
        operators.convolution(layer, geometry, np.zeros((2, 8), np.int64))


def test_sum_of_directions():
    forward, backward = np.array([0, 100, 200, 255]), np.array([20, 100, 200, 255])
    got = operators.sum_of_directions(forward, backward, 128, wide=False)
    assert got.tolist() == [0, 72, 255, 255]
    wide = operators.sum_of_directions(
        np.array([30000, -30000, 5]), np.array([30000, -30000, -6]), 0, wide=True
    )
    assert wide.tolist() == [32767, -32768, -1]
