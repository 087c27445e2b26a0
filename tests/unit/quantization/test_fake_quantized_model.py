"""Each step of the torch emulation against the numpy definition; see also tests/property."""

import math

import numpy as np
import pytest
import torch

from sparsespeech.errors import ConversionError
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.graph import Graph, Lstm, Output
from sparsespeech.integer_arithmetic import fixed_point, lookup_tables
from sparsespeech.model_file.model import InputQuantization
from sparsespeech.quantization import fake_quantized_model
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.observers import ActivationRange
from tests.random_checkpoints import random_checkpoint, random_frames

ALL_INT16 = np.arange(-32768, 32768)


def test_sigmoid_and_tanh_of_every_int16() -> None:
    table = lookup_tables.sigmoid_table()
    x = torch.from_numpy(ALL_INT16).double()
    sigmoid, tanh = fake_quantized_model.sigmoid(x), fake_quantized_model.tanh(x)
    assert np.array_equal(sigmoid.numpy(), lookup_tables.sigmoid(ALL_INT16, table))
    assert np.array_equal(tanh.numpy(), lookup_tables.tanh(ALL_INT16, table))


def test_rescale_of_random_accumulators_and_ties() -> None:
    rng = np.random.default_rng(0)
    multiplier = rng.integers(2**15, 2**16, 200_000)
    shift = rng.integers(1, 48, 200_000)
    accumulator = rng.integers(-(2**31) + 1, 2**31, 200_000)
    # Half of them exact ties: multiplier 2^15 and an odd multiple of half of the divisor.
    ties = rng.random(200_000) < 0.5
    multiplier[ties] = 2**15
    shift[ties] = rng.integers(17, 47, ties.sum())
    odd = 2 * rng.integers(-(2**31), 2**31, ties.sum()) + 1
    step = np.left_shift(np.int64(1), shift[ties] - 16)
    accumulator[ties] = odd % (2**31 // step) * step * rng.choice([-1, 1], ties.sum())
    expected = fixed_point.rescale(accumulator, multiplier, shift)
    ratio = torch.from_numpy(multiplier * 2.0 ** -shift.astype(np.float64))
    found = fake_quantized_model.rescale(torch.from_numpy(accumulator).double(), ratio)
    assert np.array_equal(found.numpy(), expected)


def test_fixed_point_ratio_is_the_multiplier_of_rule_13() -> None:
    rng = np.random.default_rng(0)
    ratios = np.concatenate(
        [
            2.0 ** rng.uniform(-30, 14, 20_000),
            2.0 ** np.arange(-30, 15.0),
            np.nextafter(2.0 ** np.arange(-30, 15.0), 0),  # the mantissa rounds up to 65536
            (2 * rng.integers(2**15, 2**16, 2000) + 1) * 2.0**-30,  # ties
        ]
    )
    pairs = [fixed_point.choose_multiplier(float(ratio)) for ratio in ratios]
    expected = [math.ldexp(multiplier, -shift) for multiplier, shift in pairs]
    found = fake_quantized_model.fixed_point_ratio(torch.from_numpy(ratios))
    assert np.array_equal(found.numpy(), expected)  # not lists: their diff would take minutes


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
    found = fake_quantized_model.next_cell(*(torch.from_numpy(a).double() for a in (i, f, g, c)))
    assert np.array_equal(found.numpy(), expected)


def test_lstm_output_of_every_cell_state_and_many_gates() -> None:
    table = lookup_tables.sigmoid_table()
    for o in [11, 12, 1000, 16383, 16384, 20000, 32756, 32757]:
        m = (o * lookup_tables.tanh(ALL_INT16, table) + 2**14) >> 15
        expected = np.clip(((m * 65024 + 2**23) >> 24) + 128, 0, 255)
        cell = torch.from_numpy(ALL_INT16).double()
        found = fake_quantized_model.lstm_output(torch.full_like(cell, o), cell)
        assert np.array_equal(found.numpy(), expected)


def test_windows_are_those_of_the_run_flow() -> None:
    checkpoint = random_checkpoint(context=2)
    calibration = _calibration(checkpoint.graph)
    model = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 2, calibration)
    frames = random_frames(0, 11) * 2
    quantization = InputQuantization(
        np.zeros(5),
        np.ones(5),
        model.frames(torch.zeros(1, 5)).scale.item(),
        calibration.input.parameters().zero_point,
    )
    integers = quantize_frames(frames, quantization)
    assert integers.min() == 0 and integers.max() == 255
    expected = context_windows(integers, 2, quantization.zero_point)
    found = model.windows(torch.from_numpy(frames))
    assert found.dtype == torch.uint8
    assert np.array_equal(found.numpy(), expected)


@pytest.mark.parametrize("change", [{"projection": 2}, {"peephole": True}, {"merge": "sum"}])
def test_layers_of_later_models_are_refused_by_name(change: dict[str, object]) -> None:
    graph = Graph((Lstm("deep", 4, 4, **change), Output("out", 8, 3)))
    with pytest.raises(ConversionError, match="layer deep"):
        FakeQuantizedModel(graph, {}, 0, _calibration(graph))


def _calibration(graph: Graph) -> Calibration:
    ranges = {layer.name: ActivationRange(0.0, 4.0) for layer in graph.layers}
    return Calibration(ActivationRange(-2.5, 3.5), ranges, 1, 0.9)
