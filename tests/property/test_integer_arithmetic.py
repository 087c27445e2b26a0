"""Properties of R1 to R13 over random numbers, against Python integers and fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sparsespeech.errors import ConversionError
from sparsespeech.graph import Conv2d, Lstm
from sparsespeech.integer_arithmetic import (
    accumulator_bounds,
    fixed_point,
    lookup_tables,
    lstm,
    operators,
)
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder, sparse_matrix
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vectorized_lstm import VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import (
    SparseProduct,
    VectorizedConvolution,
    VectorizedLinear,
)

MULTIPLIERS = st.integers(2**15, 2**16 - 1)
SHIFTS = st.integers(1, 47)
ACCUMULATORS = st.one_of(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-(2**47) + 1, 2**47 - 1))
HALF = Fraction(1, 2)


# ---- R4, R13 ---------------------------------------------------------------------------------


@given(st.lists(ACCUMULATORS, min_size=1), MULTIPLIERS, SHIFTS)
def test_rescale_is_the_nearest_integer_with_ties_up(accumulators, multiplier, shift):
    got = fixed_point.rescale(np.array(accumulators), np.array([multiplier]), np.array([shift]))
    for accumulator, result in zip(accumulators, got.tolist(), strict=True):
        assert -HALF < result - Fraction(accumulator * multiplier, 2**shift) <= HALF


@given(st.integers(-(2**20), 2**20), st.integers(16, 40))
def test_every_tie_of_rescale_goes_up(k, shift):
    accumulator = (2 * k + 1) << (shift - 16)  # times 2^15 over 2^s is k + 1/2
    got = fixed_point.rescale(np.array([accumulator]), np.array([32768]), np.array([shift]))
    assert got.tolist() == [k + 1]


@given(ACCUMULATORS, MULTIPLIERS, SHIFTS)
def test_rescale_never_decreases_and_stays_within_its_bound(accumulator, multiplier, shift):
    assume(abs(accumulator) < 2**47 - 1)
    m, s = np.array([multiplier]), np.array([shift])
    low, here, high = fixed_point.rescale(np.array([[accumulator + d] for d in (-1, 0, 1)]), m, s)
    assert low <= here <= high
    bound = accumulator_bounds.rescaled_bound(np.array([abs(accumulator)]), m, s)
    assert abs(here) <= bound


@given(
    ACCUMULATORS, MULTIPLIERS, SHIFTS, st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)
)
def test_requantize_is_rescale_plus_zero_point_clamped(acc, multiplier, shift, z, a, b):
    low, high = min(a, b), max(a, b)
    m, s = np.array([multiplier]), np.array([shift])
    got = fixed_point.requantize(np.array([acc]), m, s, z, low, high)
    nearest = math.floor(Fraction(acc * multiplier, 2**shift) + HALF)
    assert got.tolist() == [min(max(nearest + z, low), high)]


@given(st.floats(2.0**-32, 32767.0, exclude_max=True))
def test_chosen_multiplier_is_within_half_a_step(ratio):
    multiplier, shift = fixed_point.choose_multiplier(ratio)
    assert 2**15 <= multiplier < 2**16 and 1 <= shift <= 47
    assert abs(Fraction(multiplier, 2**shift) / Fraction(ratio) - 1) <= Fraction(1, 2**16)


@given(st.floats())
def test_any_float_gives_a_multiplier_or_a_conversion_error(ratio):
    try:
        multiplier, shift = fixed_point.choose_multiplier(ratio)
    except ConversionError:
        assert not 2.0**-32 <= ratio < 32767.75
    else:
        assert 2**15 <= multiplier < 2**16 and 1 <= shift <= 47


# ---- R1, R2, R3 ------------------------------------------------------------------------------

REALS = st.floats(-1e6, 1e6, width=32)


@given(
    st.lists(st.lists(REALS, min_size=3, max_size=3), min_size=1, max_size=4),
    st.sampled_from([8, 12, 16]),
    st.booleans(),
)
def test_quantized_weights_are_near_symmetric_and_keep_zeros(rows, bits, per_row):
    real = np.array(rows)
    assume(np.abs(real[real != 0]).min(initial=1.0) > 1e-30)
    weights, scale = fixed_point.quantize_weights(real, bits=bits, per_row=per_row)
    limit = fixed_point.WEIGHT_MAXIMUM[bits]
    assert np.abs(weights).max() <= limit
    assert (weights[real == 0] == 0).all()
    steps = real / scale[:, np.newaxis]
    assert (np.abs(weights - steps) <= 0.5 + 1e-9 * limit).all()
    largest = np.abs(real).max(axis=1) if per_row else np.abs(real).max(keepdims=True)
    if largest.all():
        reached = np.abs(weights).max(axis=1) if per_row else np.abs(weights).max(keepdims=True)
        assert (reached == limit).all()


@given(REALS, REALS, st.sampled_from([8, 16]), st.lists(REALS, max_size=20))
def test_activations_are_near_and_zero_is_exact(a, b, bits, reals):
    low, high = min(a, b), max(a, b)
    assume(max(high, 0.0) - min(low, 0.0) > 1e-30)
    parameters = fixed_point.activation_parameters(low, high, bits=bits)
    assert parameters.minimum <= parameters.zero_point <= parameters.maximum
    assert parameters.quantize(np.array([0.0])).tolist() == [parameters.zero_point]
    for real in [low, high, *reals]:
        (q,) = parameters.quantize(np.array([real])).tolist()
        steps = Fraction(real) / Fraction(parameters.scale)
        expected = min(max(steps, parameters.minimum - parameters.zero_point),
                       parameters.maximum - parameters.zero_point)  # fmt: skip
        assert abs(q - parameters.zero_point - expected) <= HALF + Fraction(1, 10**6)


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1.0), st.integers(0, 255), st.integers(-9999, 9999))
def test_folded_bias(real, scale, zero_point, row_sum):
    got = fixed_point.fold_bias(
        np.array([real]), np.array([scale]), zero_point, np.array([row_sum])
    )
    assert got.tolist() == [math.floor(real / scale + 0.5) - zero_point * row_sum]


@given(st.data())
def test_accumulators_do_not_depend_on_the_order_of_columns(data):
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    values = st.integers(-128, 127)
    dense = np.array(data.draw(st.lists(st.lists(values, min_size=columns, max_size=columns),
                                        min_size=rows, max_size=rows)))  # fmt: skip
    x = np.array([data.draw(st.lists(st.integers(0, 255), min_size=columns, max_size=columns))])
    bias = np.array(data.draw(st.lists(st.integers(-(2**30), 2**30), min_size=rows, max_size=rows)))
    expected = [
        int(bias[r]) + sum(int(w) * int(v) for w, v in zip(dense[r], x[0], strict=True))
        for r in range(rows)
    ]
    order = np.array(data.draw(st.permutations(range(columns))))
    for matrix, inputs in ((dense, x), (dense[:, order], x[:, order])):
        weights = sparse_matrix(matrix)
        assert operators.accumulate(weights, bias, inputs)[0].tolist() == expected
        product = SparseProduct(weights, bias, wide=False)
        assert product.accumulate(inputs.astype(np.uint8))[0].tolist() == expected


# ---- R6 to R8 --------------------------------------------------------------------------------


@given(st.lists(st.integers(-32768, 32767), min_size=5, max_size=5), st.sampled_from([64, 512]))
def test_cell_and_output_stay_in_range_and_in_32_bits(gates_and_cell, segments):
    table = lookup_tables.sigmoid_table(segments)
    i, f, g, o, c = (np.array([v]) for v in gates_and_cell)
    i, f, g, o = (
        lookup_tables.sigmoid(i, table),
        lookup_tables.sigmoid(f, table),
        lookup_tables.tanh(g, table),
        lookup_tables.sigmoid(o, table),
    )
    total = int(f[0]) * int(c[0]) + ((int(i[0]) * int(g[0]) + 8) >> 4) + 2**14
    assert abs(total) < 2**31
    cell = fixed_point.saturate16(np.array([total >> 15]))
    m = (o * lookup_tables.tanh(cell, table) + 2**14) >> 15
    assert abs(int(m[0])) <= 32735
    assert 1 <= lstm.quantize_output(m)[0] <= 255


# ---- fast and plain --------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32),
    cells=st.integers(1, 9),
    inputs=st.integers(1, 9),
    frames=st.integers(0, 6),
    density=st.floats(0, 1),
    projection=st.one_of(st.none(), st.integers(1, 5)),
    peephole=st.booleans(),
    directions=st.sampled_from([(False, "concatenate"), (True, "concatenate"), (True, "sum")]),
    wide=st.booleans(),
    per_row=st.booleans(),
)
def test_fast_lstm_equals_the_definition(
    seed, cells, inputs, frames, density, projection, peephole, directions, wide, per_row
):
    random = SeededIntegers(str(seed))
    build = LayerBuilder(random, density, wide, per_row)
    bidirectional, merge = directions
    entry = Lstm("lstm", inputs, cells, bidirectional, projection, peephole, merge)
    _, layer = build.lstm(entry, 0 if wide else 100)
    low, high, kind = (-32768, 32767, np.int16) if wide else (0, 255, np.uint8)
    x = random.integers(low, high, (frames, inputs))
    table = lookup_tables.sigmoid_table(512 if wide else 64)
    fast = VectorizedLstm(layer, table, wide=wide).run(x.astype(kind))
    np.testing.assert_array_equal(fast, lstm.lstm(layer, x, table, wide=wide))


@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    frames=st.integers(0, 5),
    density=st.floats(0, 1),
    wide=st.booleans(),
    per_row=st.booleans(),
)
def test_fast_linear_equals_the_definition(seed, rows, columns, frames, density, wide, per_row):
    random = SeededIntegers(str(seed))
    build = LayerBuilder(random, density, wide, per_row)
    _, layer = build.linear("layer1", columns, rows, 0 if wide else 33, 0 if wide else 4)
    low, high, kind = (-32768, 32767, np.int16) if wide else (0, 255, np.uint8)
    x = random.integers(low, high, (frames, columns))
    fast = VectorizedLinear(layer, wide=wide).run(x.astype(kind))
    np.testing.assert_array_equal(fast, operators.linear(layer, x))


@given(st.data())
def test_fast_convolution_equals_the_definition(data):
    small = st.integers(1, 3)
    kernel, stride = (data.draw(st.tuples(small, small)) for _ in range(2))
    padding = data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    geometry = Conv2d("conv", data.draw(small), data.draw(small), kernel, stride, padding)
    bins, frames, wide = data.draw(st.integers(1, 6)), data.draw(st.integers(0, 6)), data.draw(
        st.booleans()
    )  # fmt: skip
    random = SeededIntegers(str(data.draw(st.integers(0, 2**32))))
    _, layer = LayerBuilder(random, 0.7, wide).convolution(geometry, 0 if wide else 9)
    low, high, kind = (-32768, 32767, np.int16) if wide else (0, 255, np.uint8)
    x = random.integers(low, high, (frames, bins * geometry.input_channels))
    fast = VectorizedConvolution(layer, geometry, wide=wide).run(x.astype(kind))
    np.testing.assert_array_equal(fast, operators.convolution(layer, geometry, x))


@pytest.mark.slow
def test_ten_million_rescaled_accumulators_match_long_integers():
    """The fast conversion of numpy against exact integer division in Python objects."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        accumulator = rng.integers(-(2**31) + 1, 2**31, 500_000)
        multiplier, shift = rng.integers(2**15, 2**16, 500_000), rng.integers(1, 48, 500_000)
        exact = accumulator.astype(object) * multiplier.astype(object)
        twice = np.left_shift(np.ones(500_000, dtype=object), shift.astype(object))
        expected = (2 * exact + twice) // (2 * twice)  # floor(exact / 2^s + 1/2)
        got = fixed_point.rescale(accumulator, multiplier, shift)
        assert (got == expected).all()
