"""Vectors of kind ``model`` at the edges of the rules: bounds, ties, both ends of saturation.

Every model here lies inside the format: its proofs (R3, R4, R5, R10) hold, some with equality.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Linear, Lstm, Output
from sparsespeech.integer_arithmetic.vector_cases.layers import identity_output, sparse_matrix
from sparsespeech.integer_arithmetic.vector_cases.models import Pairs, model_vector
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vector_cases.storage import Vector
from sparsespeech.model_file.model import (
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    OutputLayer,
    Requantizer,
)

COLUMNS = 130  # two lanes of 64 and a rest
EXACTLY_ONE = Requantizer(np.array([32768]), np.array([15]))  # R4' is the identity


def extreme_model_vectors() -> list[Vector]:
    """All directed vectors of whole models."""
    return [
        _accumulator_bound(wide=False),
        _accumulator_bound(wide=True),
        _largest_rescaling(wide=False),
        _largest_rescaling(wide=True),
        _every_shift(),
        _saturating_lstm("r05_lstm_saturation", peephole=False, wide=False),
        _saturating_lstm("r05_lstm_saturation_peephole", peephole=True, wide=False),
        _saturating_lstm("r10_lstm_saturation_wide", peephole=True, wide=True),
    ]


def _bound_rows(*, wide: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Weights [R, COLUMNS] and biases that meet the bound of R3 or R10 with equality."""
    largest_weight, lowest_weight = (32767, -32768) if wide else (127, -128)
    largest_input, limit = (32768, 2**47 - 1) if wide else (255, 2**31 - 1)
    alternating = np.where(np.arange(COLUMNS) % 2 == 0, largest_weight, -largest_weight)
    one = np.zeros(COLUMNS, dtype=np.int64)
    one[COLUMNS - 1] = largest_weight
    rows = [
        np.full(COLUMNS, largest_weight),
        np.full(COLUMNS, -largest_weight),
        np.full(COLUMNS, lowest_weight),
        alternating,
        one,
        np.zeros(COLUMNS, dtype=np.int64),
    ]
    dense = np.concatenate([np.stack(rows), np.stack(rows)])
    room = limit - np.abs(dense).sum(axis=1) * largest_input
    signs = np.repeat([1, -1], len(rows))
    return dense, room * signs


def _bound_inputs(name: str, *, wide: bool) -> list[NDArray[Any]]:
    """Both ends, zero, one hot, alternating ends and random, as one utterance."""
    low, high, kind = (-32768, 32767, np.int16) if wide else (0, 255, np.uint8)
    alternating = np.where(np.arange(COLUMNS) % 2 == 0, high, low)
    frames = [
        np.full(COLUMNS, high),
        np.full(COLUMNS, low),
        np.zeros(COLUMNS),
        alternating,
        alternating[::-1],
        np.where(np.arange(COLUMNS) == COLUMNS - 1, high, 0),
    ]
    noise = SeededIntegers(name).integers(low, high, (4, COLUMNS))
    return [np.concatenate([np.stack(frames), noise]).astype(kind)]


def _accumulator_bound(*, wide: bool) -> Vector:
    """Logits at +-(2^31 - 1), or +-(2^47 - 1); all weights 127, -127, -128, none, one."""
    name = "r10_accumulator_bound_wide" if wide else "r03_accumulator_bound"
    dense, bias = _bound_rows(wide=wide)
    weights = sparse_matrix(dense, wide=wide)
    layer = OutputLayer("output", weights, bias, np.ones(1, np.float32))
    about = "an output layer whose rows meet the accumulator bound with equality"
    rules = ("R3", "R9", "R10") if wide else ("R3", "R9")
    utterances = _bound_inputs(name, wide=wide)
    pairs: Pairs = [(Output("output", COLUMNS, len(dense)), layer)]
    return model_vector(name, rules, about, pairs, utterances)


def _largest_rescaling(*, wide: bool) -> Vector:
    """R4 of accumulators at the bound with the largest products that the proof allows."""
    name = "r10_largest_rescaling_wide" if wide else "r04_largest_rescaling"
    dense, bias = _bound_rows(wide=wide)
    rows = len(dense)
    smallest_shift = 33 if wide else 17  # 65535 * bound / 2^s is just below 2^30
    moderate_shift = 47 if wide else 39  # the bound becomes 32768, or 128
    multiplier = np.where(np.arange(rows) % 3 == 1, 65535, 32768)
    shift = np.where(np.arange(rows) % 3 == 2, moderate_shift, smallest_shift)
    layer = LinearLayer(
        name="layer1",
        weights=sparse_matrix(dense, wide=wide),
        bias=bias,
        requantize=Requantizer(multiplier, shift),
        output_zero_point=0 if wide else 7,
        low=0 if wide else 7,
        high=32767 if wide else 255,
    )
    about = "a fully connected layer with accumulators at the bound and |R4'| up to 2^30"
    rules = ("R3", "R4", "R10") if wide else ("R3", "R4")
    pairs: Pairs = [(Linear("layer1", COLUMNS, rows), layer), identity_output(rows, wide=wide)]
    return model_vector(name, rules, about, pairs, _bound_inputs(name, wide=wide))


def _every_shift() -> Vector:
    """Four rows a shift: accumulators one below, at and one above a tie, or around zero."""
    rows = []
    for shift in range(1, 48):
        for multiplier, wanted in ((32768, 2), (32768, 101), (65535, 100), (40001, -1)):
            tie = ((2 * wanted + 1) << (shift - 1)) // multiplier  # exact for M = 2^15, s > 15
            accumulator = max(-(2**31) + 1000, min(2**31 - 1000, tie))
            rows.append((multiplier, shift, accumulator - 1))
    multiplier, shift, bias = np.array(rows).T
    layer = LinearLayer(
        name="layer1",
        weights=sparse_matrix(np.ones((len(rows), 1), dtype=np.int64)),
        bias=bias,
        requantize=Requantizer(multiplier, shift),
        output_zero_point=10,
        low=10,
        high=255,
    )
    pairs: Pairs = [(Linear("layer1", 1, len(rows)), layer), identity_output(len(rows))]
    utterances = [np.array([[0], [1], [2], [3], [255]], dtype=np.uint8)]
    about = "every shift with accumulators around ties; input 0, 1, 2 is below, at, above"
    return model_vector("r04_every_shift", ("R4",), about, pairs, utterances)


def _saturating_lstm(name: str, *, peephole: bool, wide: bool) -> Vector:
    """Gates beyond both ends before and after the sum, cells that reach +16 and -16.

    The gate inputs come from biases and from weights of +-127 and -128; the rescaling of the
    input part is 1. Recurrent weights of +-1 from cell 0 pull saturated gates back into range,
    which shows a stored input part that was not saturated on its own (R5).
    """
    large, cells = 40000, 8
    gate_inputs = np.array(  # columns: i, f, g, o of one cell before the first saturation
        [
            [large, large, large, large],  # climbs to +16
            [large, large, -large, large],  # falls to -16
            [large, -large, large, large],
            [-large, large, large, large],
            [60000, 60000, 60000, 60000],
            [-60000, -60000, -60000, -60000],
            [0, 60000, 700, 0],
            [large, large, 0, -large],
        ]
    )
    random = SeededIntegers(name)
    toggles = random.integers(0, 3, (4 * cells, 6))
    dense_input = np.where(toggles == 0, 127, np.where(toggles == 1, -128, 0))
    dense_input[: 4 * cells : cells, :] = 0  # cell 0 depends on its biases alone
    dense_recurrent = np.zeros((4 * cells, cells), dtype=np.int64)
    for gate in range(4):
        dense_recurrent[gate * cells + 4, 0] = -1
        dense_recurrent[gate * cells + 5, 0] = 1
        dense_recurrent[gate * cells + 7] = 127 if gate % 2 else -128
    recurrent_step = 236 if not wide else 1  # -1 times h - z_h = 127 is then about -30,000
    weights = LstmPeephole(_peephole_weights(cells), EXACTLY_ONE) if peephole else None
    direction = LstmDirection(
        input_weights=sparse_matrix(dense_input, wide=wide),
        recurrent_weights=sparse_matrix(dense_recurrent, wide=wide),
        input_bias=gate_inputs.T.reshape(-1).copy(),
        recurrent_bias=(0 if wide else -128) * dense_recurrent.sum(axis=1),
        input_requantize=EXACTLY_ONE,
        recurrent_requantize=Requantizer(np.array([recurrent_step << 8]), np.array([8]))
        if not wide
        else EXACTLY_ONE,
        peephole=weights,
    )
    entry = Lstm("layer1", 6, cells, bidirectional=False, peephole=peephole)
    layer = LstmLayer("layer1", direction, None, "concatenate")
    low, high, kind = (-256, 256, np.int16) if wide else (0, 255, np.uint8)
    x = np.where(random.integers(0, 1, (60, 6)) == 0, low, high)
    x[:40] = np.where(random.integers(0, 7, (40, 6)) == 0, high, 0)  # time to reach both ends
    about = "gates and cells that saturate at both ends" + (", extreme peepholes" * peephole)
    rules = ("R5", "R6", "R7", "R8", "R12") + (("R10",) if wide else ())
    pairs: Pairs = [(entry, layer), identity_output(cells, wide=wide)]
    return model_vector(name, rules, about, pairs, [x.astype(kind)])


def _peephole_weights(cells: int) -> NDArray[np.int16]:
    """[3, H] with both ends for the cells that saturate: R4'(w_p*c) = +-(2^30 - 2^15)."""
    weights = np.zeros((3, cells), dtype=np.int16)
    weights[0] = [1, -1, 32767, -32767, 0, 0, 1, 1]
    weights[1] = [32767, -32767, 0, 1, 0, 0, 32767, 32767]
    weights[2] = [-32767, 32767, 1, -1, 3, -3, -32767, 32767]
    return weights
