"""The fast LSTM gives the bits of the definitional one (R5 to R8, R10 to R12)."""

import numpy as np
import pytest

from sparsespeech.graph import Lstm
from sparsespeech.integer_arithmetic import lstm
from sparsespeech.integer_arithmetic.lookup_tables import sigmoid, sigmoid_table, tanh
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vectorized_lstm import ALL_INT16, VectorizedLstm
from sparsespeech.integer_arithmetic.vectorized_operators import FRAMES_AT_ONCE, activation_type


def layer_and_inputs(frames, *, wide=False, per_row=False, **options):
    build = LayerBuilder(SeededIntegers("lstm"), wide=wide, per_row=per_row)
    _, layer = build.lstm(Lstm("lstm", 7, 5, **options), 0 if wide else 90)
    low, high = (-32768, 32768) if wide else (0, 256)
    x = np.random.default_rng(0).integers(low, high, (frames, 7))
    return layer, x.astype(activation_type(wide=wide)), sigmoid_table(512 if wide else 64)


def test_every_int16_indexes_its_own_result():
    assert ALL_INT16[np.arange(-32768, 32768)].tolist() == list(range(-32768, 32768))
    for segments in (64, 512):
        table = sigmoid_table(segments)
        for function in (sigmoid, tanh):
            every = np.arange(-32768, 32768)
            np.testing.assert_array_equal(function(ALL_INT16, table)[every], function(every, table))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("projection", [None, 3])
@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize(
    ("bidirectional", "merge"), [(False, "concatenate"), (True, "concatenate"), (True, "sum")]
)
def test_every_option(wide, per_row, projection, peephole, bidirectional, merge):
    layer, x, table = layer_and_inputs(
        6, wide=wide, per_row=per_row, projection=projection, peephole=peephole,
        bidirectional=bidirectional, merge=merge,
    )  # fmt: skip
    fast = VectorizedLstm(layer, table, wide=wide).run(x)
    assert fast.dtype == (np.int16 if wide else np.uint8)
    expected = lstm.lstm(layer, x.astype(np.int64), table, wide=wide)
    np.testing.assert_array_equal(fast, expected)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("frames", [0, 1, FRAMES_AT_ONCE, FRAMES_AT_ONCE + 1])
def test_blocks_of_frames_leave_no_trace(bidirectional, frames):
    layer, x, table = layer_and_inputs(frames, bidirectional=bidirectional)
    fast = VectorizedLstm(layer, table, wide=False).run(x)
    expected = lstm.lstm(layer, x.astype(np.int64), table, wide=False)
    np.testing.assert_array_equal(fast, expected)


@pytest.mark.parametrize("options", [{}, {"projection": 3}, {"peephole": True}], ids=str)
@pytest.mark.parametrize("wide", [False, True])
def test_chunks_give_what_the_whole_gives(options, wide):
    layer, x, table = layer_and_inputs(20, wide=wide, bidirectional=False, **options)
    fast = VectorizedLstm(layer, table, wide=wide)
    states, chunks = [lstm.initial_state(layer.forward, wide=wide)], []
    for start, stop in ((0, 1), (1, 1), (1, 8), (8, 20)):
        (outputs,), states = fast.run_from(x[start:stop], states)
        chunks.append(outputs)
    np.testing.assert_array_equal(np.concatenate(chunks), fast.run(x))
    _, end = lstm.lstm_direction(layer.forward, x.astype(np.int64), table, wide=wide)
    np.testing.assert_array_equal(states[0].cell, end.cell)
    np.testing.assert_array_equal(states[0].output, end.output)


def test_a_state_passed_in_is_not_changed():
    layer, x, table = layer_and_inputs(5, bidirectional=False)
    start = lstm.initial_state(layer.forward, wide=False)
    VectorizedLstm(layer, table, wide=False).run_from(x, [start])
    assert start.cell.tolist() == [0] * 5 and start.output.tolist() == [128] * 5


def test_runs_do_not_influence_each_other():
    layer, x, table = layer_and_inputs(9)
    fast = VectorizedLstm(layer, table, wide=False)
    first = fast.run(x).copy()
    fast.run(x[::-1])
    np.testing.assert_array_equal(fast.run(x), first)
