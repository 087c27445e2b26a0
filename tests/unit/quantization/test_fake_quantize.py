"""Elementwise fake-quantize against the integer arithmetic, bit for bit, and its gradient."""

import numpy as np
import pytest
import torch

from sparsespeech.integer_arithmetic.fixed_point import ActivationParameters, quantize_weights
from sparsespeech.quantization.fake_quantize import (
    fake_quantize_activations,
    fake_quantize_weights,
    weight_integers,
    weight_scale,
)

SCALES = [2.0**-9, 1 / 127, 0.0123, 20 / 255, 1.0, 3.7]
ZERO_POINTS = [0, 1, 127, 128, 255]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("zero_point", ZERO_POINTS)
@pytest.mark.parametrize("scale", SCALES)
def test_activations_equal_rule_12_over_the_whole_range(
    scale: float, zero_point: int, kind: type
) -> None:
    # Every step, every tie between steps and their neighbours, and 50 steps beyond both ends.
    grid = (np.arange(-1220, 1221) / 4 * scale).astype(kind)
    x = np.concatenate([np.nextafter(grid, kind(-np.inf)), grid, np.nextafter(grid, kind(np.inf))])
    parameters = ActivationParameters(scale, zero_point, 0, 255)
    integers = parameters.quantize(x)
    assert integers.min() == 0 and integers.max() == 255
    expected = ((integers - zero_point) * scale).astype(kind)
    found = fake_quantize_activations(torch.from_numpy(x), scale, zero_point).numpy()
    assert found.dtype == kind
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("scale", SCALES)
def test_wide_activations_are_int16_without_a_zero_point(scale: float) -> None:
    steps = np.array([-32770, -32769, -32768.5, -32768.4, -1.5, -0.5, 0, 0.5, 32766.5, 32768])
    x = torch.from_numpy(steps * scale)
    found = fake_quantize_activations(x, scale, 0, wide=True).numpy() / scale
    expected = ActivationParameters(scale, 0, -32768, 32767).quantize(x.numpy())
    assert np.array_equal(np.round(found), expected)
    assert expected.min() == -32768 and expected.max() == 32767


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("per_row", [False, True])
def test_weights_equal_rule_1(per_row: bool, kind: type, bits: int) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 1, (60, 300)) * rng.uniform(0.01, 3, (60, 1))
    weights[rng.random(weights.shape) < 0.6] = 0.0
    weights[5] = 0.0
    # Ties: with a largest weight of 127 the scale is 1, and halves lie between two integers.
    weights[7, 0], weights[7, 1:256] = 127.0, np.arange(-127, 128) / 2
    weights = weights.astype(kind)
    integers, scale = quantize_weights(weights, bits=bits, per_row=per_row)
    expected = (integers * scale[:, np.newaxis]).astype(kind)
    found = fake_quantize_weights(torch.from_numpy(weights), bits=bits, per_row=per_row).numpy()
    assert found.dtype == kind
    assert np.array_equal(found, expected)
    assert (found[weights == 0] == 0).all()


@pytest.mark.parametrize("per_row", [False, True])
def test_an_all_zero_matrix_has_scale_1(per_row: bool) -> None:
    weights = torch.zeros(3, 4)
    scale = weight_scale(weights, per_row=per_row)
    assert (scale == 1).all()
    assert (weight_integers(weights, scale) == 0).all()


def test_an_all_zero_row_takes_the_largest_scale() -> None:
    scale = weight_scale(torch.tensor([[0.0, 0.0], [1.27, 0.0], [0.0, -12.7]]), per_row=True)
    assert scale[0] == scale[2] > scale[1]


def test_the_gradient_of_activations_passes_inside_the_range_only() -> None:
    # scale 0.1 and zero point 10 represent -1.0 .. 24.5; up to half a step beyond rounds inside.
    x = torch.tensor([-1.06, -1.04, 0.0, 0.33, 24.54, 24.56, 1e30], requires_grad=True)
    fake_quantize_activations(x, 0.1, 10).backward(torch.full((7,), 3.0))
    assert x.grad is not None
    assert x.grad.tolist() == [0, 3, 3, 3, 3, 0, 0]


@pytest.mark.parametrize("per_row", [False, True])
def test_the_gradient_of_weights_passes_unchanged(per_row: bool) -> None:
    weights = torch.randn(5, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    gradient = torch.arange(30.0).view(5, 6)
    fake_quantize_weights(weights, per_row=per_row).backward(gradient)
    assert weights.grad is not None
    assert torch.equal(weights.grad, gradient)
