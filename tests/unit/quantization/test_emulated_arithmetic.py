"""Each step of the torch emulation against the numpy definition; see also tests/property."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from sparsespeech.integer_arithmetic import lookup_tables
from sparsespeech.quantization import emulated_arithmetic

ALL_INT16 = np.arange(-32768, 32768)


@pytest.mark.parametrize("wide", [False, True])
def test_sigmoid_and_tanh_of_every_int16(wide: bool) -> None:
    table = lookup_tables.sigmoid_table(512 if wide else 64)
    x = torch.from_numpy(ALL_INT16).double()
    sigmoid, tanh = (
        function(x, wide=wide)
        for function in (emulated_arithmetic.sigmoid, emulated_arithmetic.tanh)
    )
    assert np.array_equal(sigmoid.numpy(), lookup_tables.sigmoid(ALL_INT16, table))
    assert np.array_equal(tanh.numpy(), lookup_tables.tanh(ALL_INT16, table))


@pytest.mark.parametrize("bits", [31, 47])
def test_rescale_of_random_accumulators_and_ties_on_python_integers(bits: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        multiplier, shift = int(rng.integers(2**15, 2**16)), int(rng.integers(1, 48))
        tie = 2 ** max(shift - 17, 0)  # times 2^15: half a step of the result, for shifts >= 17
        limit = min(2**bits - 1, 2 ** (30 + shift) // multiplier)  # R4 bounds the result
        accumulators = [limit, -limit, 0, 1, -1, *rng.integers(-limit, limit, 20).tolist()]
        if rng.random() < 0.5 and shift >= 17:
            multiplier = 2**15
            accumulators = [n * tie for n in accumulators[2:] if abs(n * tie) <= limit]
        expected = [(a * multiplier + 2 ** (shift - 1)) >> shift for a in accumulators]
        rescale = emulated_arithmetic.Rescaler(
            torch.tensor([math.ldexp(multiplier, -shift)], dtype=torch.float64)
        )
        assert (rescale.multiplier.item(), rescale.shift.item()) == (multiplier, shift)
        found = rescale(torch.tensor(accumulators, dtype=torch.float64))
        assert found.tolist() == expected


def test_multiplier_and_shift_are_the_nearest_by_exact_division() -> None:
    rng = np.random.default_rng(0)
    ratios = np.concatenate(
        [
            2.0 ** rng.uniform(-30, 14, 3000),
            2.0 ** np.arange(-30, 15.0),
            np.nextafter(2.0 ** np.arange(-30, 15.0), 0),  # the mantissa rounds up to 65536
            (2 * rng.integers(2**15, 2**16, 500) + 1) * 2.0**-30,  # ties
        ]
    )
    rescale = emulated_arithmetic.Rescaler(torch.from_numpy(ratios))
    pairs = zip(rescale.multiplier.tolist(), rescale.shift.tolist(), strict=True)
    for ratio, (multiplier, shift) in zip(ratios.tolist(), pairs, strict=True):
        assert 2**15 <= multiplier < 2**16
        scaled = Fraction(ratio) * 2**shift
        # Below a power of two the next multiplier would be half a step further away.
        assert abs(multiplier - scaled) <= Fraction(1, 2 if multiplier > 2**15 else 4) or (
            multiplier == 2**15 and scaled < 2**15 and 2**15 - scaled <= Fraction(1, 4)
        )


def test_next_cell_on_python_integers() -> None:
    rng = np.random.default_rng(0)
    i, f = rng.integers(11, 32758, (2, 100_000))
    g, c = rng.integers(-32746, 32747, 100_000), rng.integers(-32768, 32768, 100_000)
    i[:4], f[:4], g[:4], c[:4] = 32757, 32757, [32746, -32746] * 2, [32767, -32768, -32768, 32767]
    # For odd f there is a cell that puts the sum of R7 exactly on a step of the result, so that
    # a wrong last bit of the rounded i*g shows.
    f[4:50_000] |= 1
    inverse = np.array([pow(int(value), -1, 2**15) for value in f[4:50_000]])
    rest = ((i * g + 8) >> 4)[4:50_000] + 2**14
    c[4:50_000] = -rest * inverse % 2**15 - rng.choice([0, 2**15], 49_996)
    expected = [
        min(max((f_ * c_ + ((i_ * g_ + 8) >> 4) + 2**14) >> 15, -32768), 32767)
        for i_, f_, g_, c_ in zip(*(a.tolist() for a in (i, f, g, c)), strict=True)
    ]
    assert {min(expected), max(expected)} == {-32768, 32767}
    found = emulated_arithmetic.next_cell(*(torch.from_numpy(a).double() for a in (i, f, g, c)))
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("wide", [False, True])
def test_lstm_output_of_every_cell_state_and_many_gates(wide: bool) -> None:
    table = lookup_tables.sigmoid_table(512 if wide else 64)
    for o in [11, 12, 1000, 16383, 16384, 20000, 32756, 32757]:
        m = (o * lookup_tables.tanh(ALL_INT16, table) + 2**14) >> 15
        expected = m if wide else np.clip(((m * 65024 + 2**23) >> 24) + 128, 0, 255)
        cell = torch.from_numpy(ALL_INT16).double()
        found = emulated_arithmetic.lstm_output(torch.full_like(cell, o), cell, wide=wide)
        assert np.array_equal(found.numpy(), expected)
