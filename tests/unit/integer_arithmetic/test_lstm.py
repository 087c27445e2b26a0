"""Rules R5 to R8 and R12 of the definitional LSTM.

One oracle is an LSTM in real numbers with exact exponentials: quantized by the project's own
conversion rules, the integer LSTM must stay near it. The others are hand-computed steps.
"""

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.integer_arithmetic import fixed_point, lstm
from sparsespeech.integer_arithmetic.lookup_tables import sigmoid_table
from sparsespeech.model_file.model import (
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    Requantizer,
    SparseMatrix,
)

TABLE = sigmoid_table()
ONE = Requantizer(np.array([32768]), np.array([15]))  # R4' is the identity


def sparse(dense, kind=np.int8):
    counts = (dense != 0).sum(axis=1)
    return SparseMatrix(
        dense.shape,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.nonzero(dense)[1].astype(np.int32),
        dense[dense != 0].astype(kind),
    )


def steered(gates, cells=1, recurrent=None, peephole=None):
    """A direction whose gate inputs (rows i, f, g, o) are its biases ``gates``, ratio 1."""
    if recurrent is None:
        recurrent = np.zeros((4 * cells, cells), dtype=int)
    return LstmDirection(
        input_weights=sparse(np.zeros((4 * cells, 1), dtype=int)),
        recurrent_weights=sparse(recurrent),
        input_bias=np.array(gates),
        recurrent_bias=-128 * recurrent.sum(axis=1),
        input_requantize=ONE,
        recurrent_requantize=ONE,
        peephole=peephole,
    )


def run(direction, frames=1, **options):
    x = np.zeros((frames, 1), dtype=np.int64)
    return lstm.lstm_direction(direction, x, TABLE, wide=False, **options)


# ---- single steps, by hand -------------------------------------------------------------------


def test_one_step_from_rest():
    """All gate inputs 0 but g = 2048 (1.0): i = f = o = 16384, c = i*g."""
    _, state = run(steered([0, 0, 2048, 0]))
    g = 2 * 28862 - 32768  # base[16] = floor(32768*sigma(2) + 1/2) = 28862
    assert state.cell.tolist() == [((16384 * g + 8 >> 4) + 2**14) >> 15] == [780]
    # tanh(780/2048): sigmoid at 1560 is base[6] = 22258 and 24/256 of slope 833
    tanh_c = 2 * (22258 + (833 * 24 + 128 >> 8)) - 32768
    m = (16384 * tanh_c + 2**14) >> 15
    assert state.output.tolist() == [((m * 65024 + 2**23) >> 24) + 128]


def test_gate_order_is_i_f_g_o():
    big = 20000
    closed_input = run(steered([-big, big, big, big]))[1]
    assert abs(closed_input.cell[0]) <= 2
    closed_output = run(steered([big, big, big, -big]))[1]
    assert closed_output.cell[0] > 2000 and closed_output.output[0] == 128
    negative = run(steered([big, big, -big, big]))[1]
    assert negative.cell[0] < -2000 and negative.output[0] < 40
    memory = lstm.LstmState(np.array([128]), np.array([9000]))
    forgotten = run(steered([-big, -big, big, big]), state=memory)[1]
    kept = run(steered([-big, big, big, big]), state=memory)[1]
    assert abs(forgotten.cell[0]) < 10 and kept.cell[0] > 8990


def test_cell_saturates_at_both_ends_and_stays():
    up = run(steered([32767, 32767, 32767, 32767]), frames=30)[1]
    down = run(steered([32767, 32767, -32767, 32767]), frames=30)[1]
    assert up.cell.tolist() == [32767] and up.output.tolist() == [255]
    assert down.cell.tolist() == [-32768] and down.output.tolist() == [1]


def test_the_input_part_saturates_before_the_sum():
    """R5: 60000 is stored as 32767; a recurrent -30000 then leaves 2767, not 30000."""
    xp = lstm.input_part(steered([60000, -60000, 5, 32768]), np.zeros((1, 1), dtype=np.int64))
    assert xp.tolist() == [[32767, -32768, 5, 32767]]
    recurrent = np.zeros((4, 1), dtype=int)
    recurrent[3] = -127
    direction = replace(
        steered([0, 0, 0, 60000], recurrent=recurrent),
        recurrent_requantize=Requantizer(np.array([32768]), np.array([12])),  # ratio 8
    )
    # h - z = 30, so the recurrent part of o is -127 * 30 * 8 = -30480; c stays at 20000
    state = lstm.LstmState(np.array([158]), np.array([20000]))
    keep = replace(direction, input_bias=np.array([-32768, 32767, 0, 60000]))
    output = lstm.lstm_step(keep, lstm.input_part(keep, np.zeros((1, 1), np.int64))[0], state,
                            TABLE, wide=False).output  # fmt: skip
    o = float(output[0] - 128) / 127
    assert abs(o - 1 / (1 + np.exp(-(32767 - 30480) / 2048))) < 0.01


@pytest.mark.parametrize("gate", [0, 1, 2])
def test_peephole_reads_the_old_cell_for_i_and_f_and_the_new_one_for_o(gate):
    """One peephole weight of 1.0 (ratio 1) at a time; expectations by R5 to R7 in plain Python."""
    weights = np.zeros((3, 1), dtype=np.int16)
    weights[gate] = 1
    direction = steered([100, 300, 1500, -200], peephole=LstmPeephole(weights, ONE))
    old = 3000
    _, state = run(direction, state=lstm.LstmState(np.array([128]), np.array([old])))

    def sigma(x):
        return int(lstm.sigmoid(np.array([x]), TABLE)[0])

    i = sigma(100 + old * (gate == 0))
    f = sigma(300 + old * (gate == 1))
    g = 2 * sigma(3000) - 32768
    cell = ((f * old + ((i * g + 8) >> 4)) + 2**14) >> 15
    o = sigma(-200 + cell * (gate == 2))
    m = (o * (2 * sigma(2 * cell) - 32768) + 2**14) >> 15
    assert state.cell.tolist() == [cell]
    assert state.output.tolist() == [((m * 65024 + 2**23) >> 24) + 128]


# ---- R12: edges ------------------------------------------------------------------------------


def random_direction(rng, inputs=5, cells=4, **options):
    recurrent = rng.integers(-127, 128, (4 * cells, options.pop("fed_back", cells)))
    dense = rng.integers(-127, 128, (4 * cells, inputs))
    zero_point = options["projection"].output_zero_point if "projection" in options else 128
    return LstmDirection(
        sparse(dense), sparse(recurrent), rng.integers(-9000, 9000, 4 * cells),
        -zero_point * recurrent.sum(axis=1), Requantizer(np.array([40000]), np.array([18])),
        Requantizer(np.array([40000]), np.array([18])), **options,
    )  # fmt: skip


def test_every_direction_starts_from_rest():
    direction = random_direction(np.random.default_rng(0))
    state = lstm.initial_state(direction, wide=False)
    assert state.output.tolist() == [128] * 4 and state.cell.tolist() == [0] * 4
    assert lstm.initial_state(direction, wide=True).output.tolist() == [0] * 4


def test_a_projected_output_starts_at_its_own_zero_point():
    rng = np.random.default_rng(0)
    projection = LstmProjection(sparse(rng.integers(1, 9, (2, 4))), np.zeros(2, np.int64), ONE, 31)
    direction = random_direction(rng, fed_back=2, projection=projection)
    assert lstm.initial_state(direction, wide=False).output.tolist() == [31, 31]


def test_no_frames_give_no_output_and_leave_the_state():
    direction = random_direction(np.random.default_rng(1))
    outputs, state = lstm.lstm_direction(
        direction, np.zeros((0, 5), dtype=np.int64), TABLE, wide=False
    )
    assert outputs.shape == (0, 4) and state.output.tolist() == [128] * 4


def test_the_backward_direction_is_the_forward_one_on_reversed_frames():
    rng = np.random.default_rng(2)
    direction = random_direction(rng)
    x = rng.integers(0, 256, (9, 5))
    backward, _ = lstm.lstm_direction(direction, x, TABLE, wide=False, backward=True)
    forward, _ = lstm.lstm_direction(direction, x[::-1], TABLE, wide=False)
    np.testing.assert_array_equal(backward, forward[::-1])


def test_a_state_continues_an_utterance():
    rng = np.random.default_rng(3)
    direction = random_direction(rng)
    x = rng.integers(0, 256, (9, 5))
    whole, end = lstm.lstm_direction(direction, x, TABLE, wide=False)
    first, middle = lstm.lstm_direction(direction, x[:4], TABLE, wide=False)
    second, last = lstm.lstm_direction(direction, x[4:], TABLE, wide=False, state=middle)
    np.testing.assert_array_equal(whole, np.concatenate([first, second]))
    np.testing.assert_array_equal(end.cell, last.cell)
    np.testing.assert_array_equal(end.output, last.output)


def test_concatenated_and_summed_directions():
    rng = np.random.default_rng(4)
    forward, backward = random_direction(rng), random_direction(rng)
    x = rng.integers(0, 256, (6, 5))
    both = lstm.lstm(LstmLayer("l", forward, backward, "concatenate"), x, TABLE, wide=False)
    alone, _ = lstm.lstm_direction(forward, x, TABLE, wide=False)
    np.testing.assert_array_equal(both[:, :4], alone)
    summed = lstm.lstm(LstmLayer("l", forward, backward, "sum"), x, TABLE, wide=False)
    expected = np.clip(both[:, :4] + both[:, 4:] - 128, 0, 255)
    np.testing.assert_array_equal(summed, expected)
    single = lstm.lstm(LstmLayer("l", forward, None, "concatenate"), x, TABLE, wide=False)
    np.testing.assert_array_equal(single, alone)


# ---- the LSTM in real numbers ----------------------------------------------------------------


def sigma(x):
    return 1 / (1 + np.exp(-x))


def real_lstm(x, w_x, w_h, bias, peephole=None, projection=None):
    """Gate order i, f, g, o; cell within +-16; returns [T, outputs]."""
    cells = w_h.shape[0] // 4
    h, c, outputs = np.zeros(w_h.shape[1]), np.zeros(cells), []
    w_i, w_f, w_o = peephole if peephole is not None else np.zeros((3, cells))
    for frame in x:
        i, f, g, o = np.split(w_x @ frame + w_h @ h + bias, 4)
        c_new = np.clip(
            sigma(f + w_f * c) * c + sigma(i + w_i * c) * np.tanh(g), -16, 16 - 1 / 2048
        )
        h = sigma(o + w_o * c_new) * np.tanh(c_new)
        c = c_new
        h = projection @ h if projection is not None else h
        outputs.append(h)
    return np.array(outputs)


def conversion(x, w_x, w_h, bias, *, bits, per_row, peephole, projection):
    """R13 with the helpers of fixed_point: (integer direction, integer inputs, output scale, z)."""
    wide = bits == 16
    weight_bits, kind = (16, np.int16) if wide else (8, np.int8)
    inputs = fixed_point.activation_parameters(x.min(), x.max(), bits=bits)
    m_scale = fixed_point.WIDE_LSTM_OUTPUT_SCALE if wide else fixed_point.LSTM_OUTPUT_SCALE
    m_zero = 0 if wide else 128

    def product(weights, real_bias, in_scale, in_zero, out_scale):
        integers, scale = fixed_point.quantize_weights(weights, bits=weight_bits, per_row=per_row)
        folded = fixed_point.fold_bias(
            real_bias, scale * in_scale, in_zero, integers.sum(axis=1, dtype=np.int64)
        )
        pairs = fixed_point.choose_multipliers(scale * in_scale / out_scale)
        return sparse(integers, kind), folded, Requantizer(*pairs)

    output, projected = (m_scale, m_zero), None
    if projection is not None:
        span = np.abs(projection).sum(axis=1).max()
        parameters = fixed_point.activation_parameters(-span, span, bits=bits)
        output = (parameters.scale, parameters.zero_point)
        zeros = np.zeros(len(projection))
        projected = LstmProjection(
            *product(projection, zeros, m_scale, m_zero, output[0]), output[1]
        )
    peepholes = None
    if peephole is not None:
        integers, scale = fixed_point.quantize_weights(peephole, bits=16)
        pair = fixed_point.choose_multipliers(scale)
        peepholes = LstmPeephole(integers, Requantizer(*pair))
    gate = fixed_point.GATE_SCALE
    x_weights, x_bias, x_scales = product(w_x, bias, inputs.scale, inputs.zero_point, gate)
    h_weights, h_bias, h_scales = product(w_h, np.zeros(len(w_h)), *output, gate)
    direction = LstmDirection(
        x_weights, h_weights, x_bias, h_bias, x_scales, h_scales, peepholes, projected
    )
    return direction, inputs.quantize(x), *output


@pytest.mark.parametrize(("bits", "tolerance"), [(8, 0.06), (16, 0.002)])
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("with_peephole", [False, True])
@pytest.mark.parametrize("with_projection", [False, True])
def test_stays_near_the_lstm_in_real_numbers(
    bits, tolerance, per_row, with_peephole, with_projection
):
    rng = np.random.default_rng(5)
    cells, inputs, frames = 12, 9, 25
    fed_back = 5 if with_projection else cells
    x = rng.normal(0, 1, (frames, inputs))
    w_x = rng.normal(0, 0.5, (4 * cells, inputs)) * (rng.random((4 * cells, inputs)) < 0.6)
    w_h = rng.normal(0, 0.3, (4 * cells, fed_back))
    bias = rng.normal(0, 0.5, 4 * cells)
    options = {
        "peephole": rng.normal(0, 0.3, (3, cells)) if with_peephole else None,
        "projection": rng.normal(0, 0.4, (5, cells)) if with_projection else None,
    }
    real = real_lstm(x, w_x, w_h, bias, **options)
    direction, integers, scale, zero_point = conversion(
        x, w_x, w_h, bias, bits=bits, per_row=per_row, **options
    )
    wide = bits == 16
    table = sigmoid_table(512 if wide else 64)
    outputs, _ = lstm.lstm_direction(direction, integers, table, wide=wide)
    assert np.abs(real).max() > 0.5  # the comparison means something
    assert np.abs(scale * (outputs - zero_point) - real).max() < tolerance
