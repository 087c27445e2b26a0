"""Rules R5, R7, R8 and R12: the LSTM, frame by frame, as the definition states it.

Axes: T frames, C inputs, H cells of one direction, N fed-back outputs (H, or P with projection).
Gates stand in the order i, f, g, o. Gates and cell are Q4.11, sigmoid and tanh Q0.15; all travel
as int64. The state goes in and out, so a unidirectional layer can run over chunks of frames.
``vectorized_lstm`` has the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.integer_arithmetic.fixed_point import (
    LSTM_OUTPUT_MULTIPLIER,
    LSTM_OUTPUT_SHIFT,
    LSTM_OUTPUT_ZERO_POINT,
    requantize,
    rescale,
    saturate16,
)
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable, sigmoid, tanh
from sparsespeech.integer_arithmetic.operators import accumulate, sum_of_directions
from sparsespeech.model_file.model import LstmDirection, LstmLayer, LstmPeephole

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LstmState:
    """``output``: the fed-back h, int64[N]; ``cell``: c in Q4.11, int64[H]."""

    output: Integers
    cell: Integers


def output_zero_point(direction: LstmDirection, *, wide: bool) -> int:
    """z_h of R2: 128, or the projection's own; 0 in wide mode (R10)."""
    if wide:
        return 0
    if direction.projection is not None:
        return direction.projection.output_zero_point
    return LSTM_OUTPUT_ZERO_POINT


def initial_state(direction: LstmDirection, *, wide: bool) -> LstmState:
    """R12: h_0 = z_h and c_0 = 0."""
    cells = direction.recurrent_weights.shape[0] // 4
    outputs = direction.recurrent_weights.shape[1]
    zero_point = output_zero_point(direction, wide=wide)
    return LstmState(np.full(outputs, zero_point, dtype=np.int64), np.zeros(cells, dtype=np.int64))


def input_part(direction: LstmDirection, x: Integers) -> Integers:
    """R5: ``xp = saturate16(R4'(acc_x))``; int64[T, C] to int64[T, 4H]."""
    accumulator = accumulate(direction.input_weights, direction.input_bias, x)
    scales = direction.input_requantize
    return saturate16(rescale(accumulator, scales.multiplier, scales.shift))


def lstm_step(
    direction: LstmDirection, xp: Integers, state: LstmState, table: SigmoidTable, *, wide: bool
) -> LstmState:
    """One frame by R5 to R8: ``xp`` is int64[4H] of :func:`input_part`."""
    recurrent = direction.recurrent_requantize
    accumulator = accumulate(
        direction.recurrent_weights, direction.recurrent_bias, state.output[np.newaxis]
    )[0]
    gates = xp + rescale(accumulator, recurrent.multiplier, recurrent.shift)
    p_i, p_f, p_g, p_o = np.split(gates, 4)

    i = sigmoid(saturate16(p_i + _peephole(direction.peephole, 0, state.cell)), table)
    f = sigmoid(saturate16(p_f + _peephole(direction.peephole, 1, state.cell)), table)
    g = tanh(saturate16(p_g), table)
    cell = saturate16((f * state.cell + ((i * g + 8) >> 4) + (1 << 14)) >> 15)  # R7
    o = sigmoid(saturate16(p_o + _peephole(direction.peephole, 2, cell)), table)
    m = (o * tanh(cell, table) + (1 << 14)) >> 15  # R8
    return LstmState(_output(direction, m, wide=wide), cell)


def quantize_output(m: Integers) -> Integers:
    """R8: m in Q0.15 to h, scale 1/127 and zero point 128, by R4 with fixed constants."""
    multiplier, shift = np.array([LSTM_OUTPUT_MULTIPLIER]), np.array([LSTM_OUTPUT_SHIFT])
    return requantize(m, multiplier, shift, LSTM_OUTPUT_ZERO_POINT, 0, 255)


def lstm_direction(
    direction: LstmDirection,
    x: Integers,
    table: SigmoidTable,
    *,
    wide: bool,
    backward: bool = False,
    state: LstmState | None = None,
) -> tuple[Integers, LstmState]:
    """R5 to R8 and R12 over all frames; int64[T, C] to int64[T, N] and the last state.

    ``backward`` starts at the last frame. ``state`` continues from earlier frames; without it
    the utterance starts here.
    """
    xp = input_part(direction, x)
    current = state or initial_state(direction, wide=wide)
    outputs = np.empty((x.shape[0], direction.recurrent_weights.shape[1]), dtype=np.int64)
    frames = range(x.shape[0])
    for t in reversed(frames) if backward else frames:
        current = lstm_step(direction, xp[t], current, table, wide=wide)
        outputs[t] = current.output
    return outputs, current


def lstm(layer: LstmLayer, x: Integers, table: SigmoidTable, *, wide: bool) -> Integers:
    """A whole layer: both directions, then concatenated (R2) or summed (R11)."""
    forward, _ = lstm_direction(layer.forward, x, table, wide=wide)
    if layer.backward is None:
        return forward
    backward, _ = lstm_direction(layer.backward, x, table, wide=wide, backward=True)
    if layer.merge == "sum":
        zero_point = output_zero_point(layer.forward, wide=wide)
        return sum_of_directions(forward, backward, zero_point, wide=wide)
    return np.concatenate([forward, backward], axis=1)


def _peephole(peephole: LstmPeephole | None, gate: int, cell: Integers) -> Integers | int:
    """R5: ``R4'(w_p * c)`` of gate 0, 1, 2 (i, f, o); 0 without peephole weights."""
    if peephole is None:
        return 0
    product = peephole.weights[gate].astype(np.int64) * cell
    return rescale(product, peephole.requantize.multiplier, peephole.requantize.shift)


def _output(direction: LstmDirection, m: Integers, *, wide: bool) -> Integers:
    """R8: m in Q0.15 to the fed-back output; in wide mode h = m (R10)."""
    h = m if wide else quantize_output(m)
    projection = direction.projection
    if projection is None:
        return h
    accumulator: Integers = accumulate(projection.weights, projection.bias, h[np.newaxis])[0]
    scales = projection.requantize
    low, high = (-32768, 32767) if wide else (0, 255)
    return requantize(
        accumulator, scales.multiplier, scales.shift, projection.output_zero_point, low, high
    )
