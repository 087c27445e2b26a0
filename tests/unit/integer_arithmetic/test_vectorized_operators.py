"""The fast operators give the bits of the definitional ones (R3, R4, R9, R10, R11)."""

import numpy as np
import pytest

from sparsespeech.graph import Conv2d
from sparsespeech.integer_arithmetic import operators
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vectorized_operators import (
    CONVOLUTION_FRAMES_AT_ONCE,
    FRAMES_AT_ONCE,
    VectorizedConvolution,
    VectorizedLinear,
    VectorizedOutput,
    activation_type,
    frame_blocks,
)


def activations(rng, frames, width, *, wide):
    low, high = (-32768, 32768) if wide else (0, 256)
    return rng.integers(low, high, (frames, width)).astype(activation_type(wide=wide))


@pytest.mark.parametrize("frames", [0, 1, 127, 128, 129, 256, 300])
def test_blocks_cover_every_frame_once(frames):
    covered = [t for block in frame_blocks(frames) for t in range(block.start, block.stop)]
    assert covered == list(range(frames))
    assert all(block.stop - block.start <= FRAMES_AT_ONCE for block in frame_blocks(frames))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("frames", [0, 1, FRAMES_AT_ONCE + 1])
def test_linear_and_output(wide, per_row, frames):
    build = LayerBuilder(SeededIntegers("linear"), wide=wide, per_row=per_row)
    x = activations(np.random.default_rng(0), frames, 19, wide=wide)
    zero_point = 0 if wide else 60
    _, linear = build.linear("layer1", 19, 9, zero_point)
    fast = VectorizedLinear(linear, wide=wide).run(x)
    assert fast.dtype == (np.int16 if wide else np.uint8)
    np.testing.assert_array_equal(fast, operators.linear(linear, x.astype(np.int64)))
    _, output = build.output(19, 9, zero_point)
    fast = VectorizedOutput(output, wide=wide).run(x)
    assert fast.dtype == np.int64
    np.testing.assert_array_equal(fast, operators.output(output, x.astype(np.int64)))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "geometry",
    [
        Conv2d("conv", 2, 3, (3, 3), (1, 1), (1, 1)),
        Conv2d("conv", 1, 4, (2, 5), (2, 3), (0, 2)),
    ],
    ids=str,
)
@pytest.mark.parametrize("frames", [0, 1, 2, 2 * CONVOLUTION_FRAMES_AT_ONCE + 3])
def test_convolution(wide, geometry, frames):
    build = LayerBuilder(SeededIntegers("convolution"), density=0.6, wide=wide)
    _, layer = build.convolution(geometry, 0 if wide else 200, 0 if wide else 5)
    x = activations(np.random.default_rng(1), frames, 7 * geometry.input_channels, wide=wide)
    fast = VectorizedConvolution(layer, geometry, wide=wide).run(x)
    expected = operators.convolution(layer, geometry, x.astype(np.int64))
    assert fast.dtype == (np.int16 if wide else np.uint8)
    np.testing.assert_array_equal(fast, expected)


def test_inputs_may_be_views():
    build = LayerBuilder(SeededIntegers("views"))
    _, layer = build.linear("layer1", 6, 4, 0)
    x = activations(np.random.default_rng(2), 10, 12, wide=False)
    strided = VectorizedLinear(layer, wide=False).run(x[::-2, ::2])
    whole = VectorizedLinear(layer, wide=False).run(np.ascontiguousarray(x[::-2, ::2]))
    np.testing.assert_array_equal(strided, whole)
