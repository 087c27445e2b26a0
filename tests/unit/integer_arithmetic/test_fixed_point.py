"""Rules R1, R2, R4, R12 and R13 against fractions and Python integers."""

import math
from fractions import Fraction

import numpy as np
import pytest

from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic import fixed_point

HALF = Fraction(1, 2)


def nearest_half_up(exact: Fraction) -> int:
    return math.floor(exact + HALF)


def test_rounding_is_half_up_for_both_signs():
    ties = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, -0.0])
    assert fixed_point.round_half_up(ties).tolist() == [-2, -1, 0, 1, 2, 3, 0]


def test_saturation_to_int16():
    values = np.array([-(2**40), -32769, -32768, 32767, 32768, 2**40])
    assert fixed_point.saturate16(values).tolist() == [-32768, -32768, -32768, 32767, 32767, 32767]


# ---- R4: requantize --------------------------------------------------------------------------


@pytest.mark.parametrize("shift", range(1, 48))
def test_rescale_is_one_rounding_of_the_exact_product(shift):
    accumulators = [-(2**31) + 1, -(2**16), -3, -2, -1, 0, 1, 2, 3, 2**16, 2**31 - 1]
    accumulators += [(2 * k + 1) << max(0, shift - 16) for k in range(-5, 5)]  # ties for M = 2^15
    for multiplier in (32768, 49152, 65535):
        got = fixed_point.rescale(np.array(accumulators), np.array([multiplier]), np.array([shift]))
        exact = [Fraction(a * multiplier, 2**shift) for a in accumulators]
        assert got.tolist() == [nearest_half_up(e) for e in exact]


def test_rescale_of_the_largest_wide_accumulators_does_not_wrap():
    accumulators = np.array([2**47 - 1, -(2**47) + 1])
    got = fixed_point.rescale(accumulators, np.array([65535]), np.array([47]))
    exact = [nearest_half_up(Fraction(int(a) * 65535, 2**47)) for a in accumulators]
    assert got.tolist() == exact


def test_rescale_takes_one_pair_a_row():
    got = fixed_point.rescale(
        np.array([[100, 100], [7, 7]]), np.array([32768, 65535]), np.array([15, 20])
    )
    assert got.tolist() == [[100, 6], [7, 0]]


def test_requantize_adds_the_zero_point_before_the_clamp():
    got = fixed_point.requantize(
        np.array([-300, -100, 0, 100, 300]), np.array([32768]), np.array([15]), 50, 50, 255
    )
    assert got.tolist() == [50, 50, 50, 150, 255]


def test_output_constants_are_exactly_127_over_32768():
    ratio = Fraction(fixed_point.LSTM_OUTPUT_MULTIPLIER, 2**fixed_point.LSTM_OUTPUT_SHIFT)
    assert ratio == Fraction(127, 32768)
    chosen = fixed_point.choose_multiplier(127 / 32768)
    assert chosen == (fixed_point.LSTM_OUTPUT_MULTIPLIER, fixed_point.LSTM_OUTPUT_SHIFT)


# ---- R13: multipliers ------------------------------------------------------------------------


def ratios():
    powers = [math.ldexp(1.0, e) for e in range(-31, 15)]
    for power in powers:
        yield from (power, math.nextafter(power, math.inf), power * 1.7, power * (65535 / 65536))
    yield from (0.0038757, 1 / 3, 127 / 32768, 2 / 127 * 2048, 0.99999, 32767.4)


def test_multiplier_is_the_nearest_of_sixteen_bits():
    for ratio in ratios():
        multiplier, shift = fixed_point.choose_multiplier(ratio)
        assert 2**15 <= multiplier < 2**16 and 1 <= shift <= 47
        error = multiplier - Fraction(ratio) * 2**shift
        assert -HALF < error <= HALF  # a tie goes up


def test_multiplier_65536_becomes_32768_with_one_shift_less():
    below_one = math.nextafter(1.0, 0.0)
    assert fixed_point.choose_multiplier(below_one) == (32768, 15)
    assert fixed_point.choose_multiplier(1.0) == (32768, 15)
    assert fixed_point.choose_multiplier(65535.49 / 65536) == (65535, 16)
    assert fixed_point.choose_multiplier(65535.5 / 65536) == (32768, 15)


def test_the_carry_reaches_ratios_just_outside_the_first_shift():
    assert fixed_point.choose_multiplier(math.nextafter(2.0**-32, 0.0)) == (32768, 47)
    largest = 65535.25 / 65536 * 2.0**15
    assert fixed_point.choose_multiplier(largest) == (65535, 1)


@pytest.mark.parametrize(
    "ratio",
    [0.0, -1.0, math.inf, -math.inf, math.nan, 2.0**15, 1e300, 2.0**-33, 5e-324,
     math.nextafter(2.0**15, 0.0)],
)  # fmt: skip
def test_a_ratio_outside_the_format_is_refused(ratio):
    with pytest.raises(ConversionError, match="ratio"):
        fixed_point.choose_multiplier(ratio)


def test_multipliers_of_rows():
    multiplier, shift = fixed_point.choose_multipliers(np.array([1.0, 0.3, 100.0]))
    expected = [fixed_point.choose_multiplier(r) for r in (1.0, 0.3, 100.0)]
    assert list(zip(multiplier.tolist(), shift.tolist(), strict=True)) == expected
    assert multiplier.dtype == shift.dtype == np.int64


# ---- R1: weights -----------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "limit"), [(8, 127), (12, 2047), (16, 32767)])
@pytest.mark.parametrize("per_row", [False, True])
def test_weights_follow_the_rule_element_by_element(bits, limit, per_row):
    real = np.random.default_rng(3).normal(0, 0.2, (7, 31)).astype(np.float32)
    real[np.abs(real) < 0.1] = 0
    real[4] = 0
    weights, scale = fixed_point.quantize_weights(real, bits=bits, per_row=per_row)
    for r in range(7):
        row_largest = max(abs(float(w)) for w in real[r])
        largest = row_largest if per_row and row_largest else max(abs(float(w)) for w in real.flat)
        assert scale[r if per_row else 0] == largest / limit
        for c in range(31):
            assert weights[r, c] == math.floor(float(real[r, c]) / (largest / limit) + 0.5)
    assert np.abs(weights).max() == limit
    assert (weights[real == 0] == 0).all()


def test_weight_ties_round_up_and_the_lowest_integer_is_never_written():
    real = np.array([[127.0, -127.0, 0.5, -0.5, 1.5, -1.5, -126.5]])
    weights, scale = fixed_point.quantize_weights(real)
    assert scale.tolist() == [1.0]
    assert weights.tolist() == [[127, -127, 1, 0, 2, -1, -126]]


def test_an_all_zero_matrix_has_scale_one():
    for per_row in (False, True):
        weights, scale = fixed_point.quantize_weights(np.zeros((2, 3)), per_row=per_row)
        assert (scale == 1.0).all() and scale.size == (2 if per_row else 1)
        assert not weights.any()


def test_an_all_zero_row_takes_the_largest_scale_of_its_matrix():
    real = np.array([[0.0, 0.0], [1.27, 0.0], [0.0, -2.54]])
    _, scale = fixed_point.quantize_weights(real, per_row=True)
    assert scale.tolist() == [2.54 / 127, 1.27 / 127, 2.54 / 127]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_by_place(bad):
    real = np.zeros((3, 4))
    real[1, 2] = bad
    with pytest.raises(ConversionError, match=r"weight \(1, 2\) is not finite"):
        fixed_point.quantize_weights(real)


def test_weights_below_the_normal_floats_are_refused():
    with pytest.raises(ConversionError, match="too small"):
        fixed_point.quantize_weights(np.full((1, 1), 1e-310))


# ---- R3: folded bias -------------------------------------------------------------------------


def test_folded_bias_rounds_half_up_and_takes_the_zero_point_away():
    real = np.array([0.5, -0.5, 0.75, 10.0])
    got = fixed_point.fold_bias(real, np.array([0.5]), 10, np.array([0, 1, -2, 3]))
    assert got.tolist() == [1, -1 - 10, 2 + 20, 20 - 30]


def test_folded_bias_takes_one_scale_a_row():
    got = fixed_point.fold_bias(np.array([1.0, 1.0]), np.array([0.25, 0.4]), 0, np.array([5, 5]))
    assert got.tolist() == [4, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e20])
def test_a_bias_that_no_accumulator_holds_is_refused_by_row(bad):
    with pytest.raises(ConversionError, match="bias of row 1"):
        fixed_point.fold_bias(np.array([0.0, bad]), np.array([1e-3]), 0, np.zeros(2, np.int64))


# ---- R2, R12: activations --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 20.0, 20 / 255, 0),
        (3.0, 20.0, 20 / 255, 0),  # widened to hold 0
        (-2.0, -1.0, 2 / 255, 255),
        (-1.0, 1.0, 2 / 255, 128),  # 127.5 rounds up
        (-51.0, 204.0, 1.0, 51),
        (0.0, 0.0, 1.0, 0),
    ],
)
def test_activation_parameters(low, high, scale, zero_point):
    got = fixed_point.activation_parameters(low, high)
    assert (got.scale, got.zero_point) == (scale, zero_point)
    assert (got.minimum, got.maximum) == (0, 255)
    assert got.quantize(np.array([0.0])).tolist() == [zero_point]  # 0 is exact


def test_wide_activation_parameters_are_symmetric():
    got = fixed_point.activation_parameters(-3.0, 1.0, bits=16)
    assert (got.scale, got.zero_point, got.minimum, got.maximum) == (3 / 32767, 0, -32768, 32767)
    assert got.quantize(np.array([-3.0, 3.0, -4.0, 4.0])).tolist() == [-32767, 32767, -32768, 32767]


@pytest.mark.parametrize(
    ("low", "high"), [(np.nan, 1.0), (0.0, np.inf), (-np.inf, 0.0), (2.0, 1.0)]
)
def test_an_impossible_activation_range_is_refused(low, high):
    with pytest.raises(ConversionError, match="activation range"):
        fixed_point.activation_parameters(low, high)


def test_activations_round_half_up_then_clamp():
    parameters = fixed_point.ActivationParameters(0.5, 10, 0, 255)
    x = np.array([-0.25, 0.25, 0.75, -0.75, -5.0, -5.3, 122.5, 1e30, -1e30])
    assert parameters.quantize(x).tolist() == [10, 11, 12, 9, 0, 0, 255, 255, 0]


def test_clamp_limits_of_relu():
    assert fixed_point.ActivationParameters(20 / 255, 0, 0, 255).clamp_limits(20.0) == (0, 255)
    assert fixed_point.ActivationParameters(0.5, 3, 0, 255).clamp_limits(20.25) == (3, 44)  # tie
    assert fixed_point.ActivationParameters(1e-320, 3, 0, 255).clamp_limits(20.0) == (3, 255)
    wide = fixed_point.ActivationParameters(0.001, 0, -32768, 32767)
    assert wide.clamp_limits(20.0) == (0, 20000)
