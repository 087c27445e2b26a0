"""Rule R6 and its wide form (R10): exhaustive over all 65,536 inputs."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import sparsespeech.integer_arithmetic as package
from sparsespeech.integer_arithmetic import lookup_tables
from sparsespeech.integer_arithmetic.lookup_tables import sigmoid, sigmoid_table, tanh

EVERY = np.arange(-32768, 32768)
TABLES = pytest.mark.parametrize("segments", [64, 512])


def exponential(x: Fraction) -> Fraction:
    """exp(x) for -8 <= x <= 0 as a fraction within 1e-20: the series of exp(-x), inverted."""
    term = total = Fraction(1)
    for n in range(1, 80):
        term = term * -x / n
        total += term
    return 1 / total


@TABLES
def test_base_is_the_exact_sigmoid_rounded_half_up(segments):
    base = sigmoid_table(segments).base
    for k in range(0, segments + 1, segments // 64):
        exact = 32768 / (1 + exponential(Fraction(-8 * k, segments)))
        assert base[k] == math.floor(exact + Fraction(1, 2))
    every = np.floor(32768 / (1 + np.exp(-8 * np.arange(segments + 1) / segments)) + 0.5)
    np.testing.assert_array_equal(base, every)


@TABLES
def test_slope_is_the_difference_of_neighbours(segments):
    table = sigmoid_table(segments)
    assert table.base.dtype == table.slope.dtype == np.int16
    assert (table.base.size, table.slope.size, table.segments) == (segments + 1, segments, segments)
    np.testing.assert_array_equal(table.slope, table.base[1:] - table.base[:-1])


@TABLES
def test_digest_is_the_published_one(segments):
    table = sigmoid_table(segments)
    digest = lookup_tables.table_sha256(table.base, table.slope)
    assert digest == lookup_tables.TABLE_SHA256[segments]
    assert digest in (Path(package.__file__).parent / "spec.md").read_text()


def test_tables_are_read_only_and_named_for_the_model_file():
    assert not sigmoid_table().base.flags.writeable
    assert not sigmoid_table().slope.flags.writeable
    assert lookup_tables.model_tables()["sigmoid_base"] is sigmoid_table(64).base
    assert lookup_tables.model_tables(16)["sigmoid_slope"] is sigmoid_table(512).slope


def test_another_number_of_segments_is_refused():
    with pytest.raises(ValueError, match="64 or 512"):
        sigmoid_table(128)


def sigmoid_by_the_letter(x: int, base: list[int]) -> int:
    segments = len(base) - 1
    if x < 0:
        return 32768 - sigmoid_by_the_letter(-x, base)
    if x >= 16384:
        return base[segments]
    width = 16384 // segments
    k, fraction = divmod(x, width)
    return base[k] + ((base[k + 1] - base[k]) * fraction + width // 2) // width


@TABLES
def test_every_result_follows_the_rule(segments):
    table = sigmoid_table(segments)
    base = table.base.tolist()
    expected = [sigmoid_by_the_letter(x, base) for x in EVERY.tolist()]
    assert sigmoid(EVERY, table).tolist() == expected
    doubled = [min(max(2 * x, -32768), 32767) for x in EVERY.tolist()]
    assert tanh(EVERY, table).tolist() == [2 * expected[x + 32768] - 32768 for x in doubled]


@TABLES
@pytest.mark.parametrize("kind", [np.int16, np.int32, np.int64])
def test_the_input_type_does_not_matter(segments, kind):
    table = sigmoid_table(segments)
    np.testing.assert_array_equal(sigmoid(EVERY.astype(kind), table), sigmoid(EVERY, table))
    np.testing.assert_array_equal(tanh(EVERY.astype(kind), table), tanh(EVERY, table))


@TABLES
def test_range_and_fixed_points(segments):
    table = sigmoid_table(segments)
    assert (sigmoid(EVERY, table).min(), sigmoid(EVERY, table).max()) == (11, 32757)
    assert (tanh(EVERY, table).min(), tanh(EVERY, table).max()) == (-32746, 32746)
    assert sigmoid(np.array([0]), table) == 16384
    assert tanh(np.array([0]), table) == 0


@TABLES
def test_both_functions_never_decrease(segments):
    table = sigmoid_table(segments)
    assert (np.diff(sigmoid(EVERY, table)) >= 0).all()
    assert (np.diff(tanh(EVERY, table)) >= 0).all()


@TABLES
def test_symmetry(segments):
    table = sigmoid_table(segments)
    positive = np.arange(1, 32768)
    total = sigmoid(positive, table) + sigmoid(-positive, table)
    assert (total == 32768).all()
    assert (tanh(-positive, table) == -tanh(positive, table)).all()


# Two roundings of half a step (1/65536 each) and the chord's distance from the curve, at most
# width^2 / 8 times the largest second derivative of sigma, 1/(6*sqrt(3)).
INSIDE = {n: 2 / 65536 + (8 / n) ** 2 / 8 / (6 * math.sqrt(3)) for n in (64, 512)}
BEYOND = 1 - 32757 / 32768  # the table ends at base[N]


@TABLES
def test_distance_from_the_real_functions(segments):
    table = sigmoid_table(segments)
    error = np.abs(sigmoid(EVERY, table) / 32768 - 1 / (1 + np.exp(-EVERY / 2048)))
    assert error[np.abs(EVERY) <= 16384].max() <= INSIDE[segments]
    assert error.max() <= BEYOND
    error = np.abs(tanh(EVERY, table) / 32768 - np.tanh(EVERY / 2048))
    assert error[np.abs(EVERY) <= 8192].max() <= 2 * INSIDE[segments]
    assert error.max() <= 2 * BEYOND
