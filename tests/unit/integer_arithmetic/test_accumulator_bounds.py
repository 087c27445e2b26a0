"""The proofs of R3, R4 and R10: the bounds are right, tight, and independent of the order."""

import numpy as np
import pytest

from sparsespeech.integer_arithmetic import accumulator_bounds, fixed_point

ROW_START = np.array([0, 0, 1, 4])
VALUE = np.array([-128, 127, -127, 5], dtype=np.int8)
BIAS = np.array([-7, 100, -1000])


def test_bound_of_each_row():
    bound = accumulator_bounds.accumulator_bound(ROW_START, VALUE, BIAS)
    assert bound.tolist() == [7, 128 * 255 + 100, (127 + 127 + 5) * 255 + 1000]


def test_wide_bound_of_each_row():
    value = np.array([-32768, 32767, -32767, 5], dtype=np.int16)
    bound = accumulator_bounds.accumulator_bound(ROW_START, value, BIAS, wide=True)
    assert bound.tolist() == [7, 32768 * 32768 + 100, (2 * 32767 + 5) * 32768 + 1000]


def test_an_empty_matrix_has_the_bound_of_its_biases():
    no_weights = np.array([], dtype=np.int8)
    bound = accumulator_bounds.accumulator_bound(np.zeros(4, np.int64), no_weights, BIAS)
    assert bound.tolist() == [7, 100, 1000]


@pytest.mark.parametrize("order", range(20))
def test_no_partial_sum_leaves_int32_at_the_bound(order):
    """R3: weights, bias and inputs at their ends, added one after the other in int32."""
    rng = np.random.default_rng(order)
    weights = rng.choice([-128, -127, 127], 300).astype(np.int64)
    bias = (2**31 - 1 - np.abs(weights).sum() * 255) * rng.choice([-1, 1])
    bound = accumulator_bounds.accumulator_bound(np.array([0, 300]), weights, np.array([bias]))
    assert bound.tolist() == [2**31 - 1]
    inputs = np.where(weights * bias > 0, 255, rng.choice([0, 255], 300))
    terms = rng.permutation(np.append(weights * inputs, bias))
    wrapped = np.cumsum(terms.astype(np.int32), dtype=np.int32)
    np.testing.assert_array_equal(wrapped, np.cumsum(terms))


@pytest.mark.parametrize("shift", [1, 2, 15, 16, 17, 20])
@pytest.mark.parametrize("multiplier", [32768, 40001, 65535])
def test_rescaled_bound_is_reached_and_never_passed(multiplier, shift):
    for bound in (0, 1, 2, 77, 1000):
        m, s = np.array([multiplier]), np.array([shift])
        every = fixed_point.rescale(np.arange(-bound, bound + 1), m, s)
        got = accumulator_bounds.rescaled_bound(np.array([bound]), m, s)
        assert got == np.abs(every).max()


def test_rescaled_bound_of_the_largest_wide_accumulator():
    got = accumulator_bounds.rescaled_bound(
        np.array([2**47 - 1]), np.array([65535]), np.array([33])
    )
    assert int(got[0]) == ((2**47 - 1) * 65535 + 2**32) // 2**33 < 2**30


def test_cell_and_output_fit_int32():
    """R7, R8: the largest magnitudes on the way, from the ranges of R6."""
    product = 32757 * 32746
    assert 32757 * 32768 + ((product + 8) >> 4) + 2**14 == 1_140_439_055 < 2**31
    largest_m = (product + 2**14) >> 15
    assert largest_m == 32735
    assert largest_m * 65024 + 2**23 == 2_136_949_248 < 2**31


def test_gate_sum_fits_int32_with_the_peephole_limit():
    """R5: three terms at their ends."""
    largest = 2**15 + (fixed_point.RESCALED_LIMIT - 1) + fixed_point.PEEPHOLE_LIMIT
    assert largest == 2**31 - 1
