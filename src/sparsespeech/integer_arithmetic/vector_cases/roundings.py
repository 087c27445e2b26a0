"""Vectors of kind ``model`` in which one unit of one rounding inside an LSTM decides an output.

Random gates almost never show a wrong rounding constant of R7 or R8: the error must first flip the
rounding after it. Here each cell stands exactly on such an edge, found by search.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Lstm
from sparsespeech.integer_arithmetic.lookup_tables import sigmoid, sigmoid_table, tanh
from sparsespeech.integer_arithmetic.lstm import quantize_output
from sparsespeech.integer_arithmetic.vector_cases.layers import identity_output, sparse_matrix
from sparsespeech.integer_arithmetic.vector_cases.models import Pairs, model_vector
from sparsespeech.integer_arithmetic.vector_cases.storage import Vector
from sparsespeech.model_file.model import (
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    Requantizer,
)

Integers = NDArray[np.int64]
Gates = tuple[int, int, int, int]  # gate inputs i, f, g, o in Q4.11

EVERY = np.arange(-32768, 32768)
OPEN = 32767  # a gate input whose sigmoid is 32757
EXACTLY_ONE = Requantizer(np.array([32768]), np.array([15]))  # R4' is the identity
HALF = Requantizer(np.array([32768]), np.array([16]))  # R4' halves: every odd number is a tie
FILLED = 20  # frames after which a cell with open gates stands at +16


def rounding_vectors() -> list[Vector]:
    """All vectors of this module."""
    return [
        _one_frame("r07_cell_rounding", _cell_edges(wide=False), "R7", wide=False),
        _one_frame("r10_cell_rounding_wide", _cell_edges(wide=True), "R7", wide=True),
        _one_frame("r08_output_rounding", _output_edges(), "R8", wide=False),
        _gate_ties("r05_gate_rounding", peephole=False, wide=False),
        _gate_ties("r05_gate_rounding_peephole", peephole=True, wide=False),
        _gate_ties("r10_gate_rounding_wide", peephole=False, wide=True),
        _projection_ties(),
        _sigmoid_sweep(),
    ]


def _one_frame(name: str, gates: list[Gates], rule: str, *, wide: bool) -> Vector:
    """One cell for each of ``gates``, its gate inputs as biases, run for a single frame."""
    cells = len(gates)
    direction = LstmDirection(
        input_weights=sparse_matrix(np.zeros((4 * cells, 1), dtype=np.int64), wide=wide),
        recurrent_weights=sparse_matrix(np.zeros((4 * cells, cells), dtype=np.int64), wide=wide),
        input_bias=np.array(gates).T.reshape(-1).copy(),
        recurrent_bias=np.zeros(4 * cells, dtype=np.int64),
        input_requantize=EXACTLY_ONE,
        recurrent_requantize=EXACTLY_ONE,
    )
    layer = LstmLayer("layer1", direction, None, "concatenate")
    pairs: Pairs = [
        (Lstm("layer1", 1, cells, bidirectional=False), layer),
        identity_output(cells, wide=wide),
    ]
    about = f"cells whose output changes if a rounding of {rule} is lower by one unit"
    rules = (rule, "R10") if wide else (rule,)
    windows = np.zeros((1, 1), dtype=np.int16 if wide else np.uint8)
    return model_vector(name, rules, about, pairs, [windows])


class _Inverse:
    """Finds an x in ``arguments`` with a given ``results`` value."""

    def __init__(self, arguments: Integers, results: Integers) -> None:
        self.values, first = np.unique(results, return_index=True)
        self._arguments = arguments[first]

    def argument(self, value: int) -> int:
        """The first x whose result is ``value``, which must exist."""
        return int(self._arguments[np.searchsorted(self.values, value)])


def _factors(product: int, first: _Inverse, second: _Inverse) -> tuple[int, int] | None:
    """Arguments (a, b) with ``first(a) * second(b) == product``, or None."""
    divisors = first.values[product % first.values == 0]
    found = divisors[np.isin(product // divisors, second.values)]
    if found.size == 0:
        return None
    return first.argument(int(found[0])), second.argument(product // int(found[0]))


def _cell_edges(*, wide: bool) -> list[Gates]:
    """R7 from c = 0: ``i*g = 2^19*c - 2^18 - 8`` makes both roundings exact ties upwards.

    One unit less in either gives c - 1. Kept are the c for which that changes the output.
    """
    table = sigmoid_table(512 if wide else 64)
    gate_i, gate_g = _Inverse(EVERY, sigmoid(EVERY, table)), _Inverse(EVERY, tanh(EVERY, table))
    m = (32757 * tanh(np.arange(-2048, 2048), table) + (1 << 14)) >> 15  # o fully open
    outputs = m if wide else quantize_output(m)
    cells = np.arange(-2047, 2048)[np.diff(outputs) != 0]
    edges: list[Gates] = []
    for cell in cells[:: 1 + cells.size // 400].tolist():
        found = _factors((cell << 19) - (1 << 18) - 8, gate_i, gate_g)
        if found is not None:
            edges.append((found[0], 0, found[1], OPEN))
    return edges


def _output_edges() -> list[Gates]:
    """R8: ``o*tanh(c) = 2^15*m - 2^14`` is a tie upwards; one unit less gives m - 1 and h - 1."""
    table = sigmoid_table()
    every_m = np.arange(-32735, 32736)
    thresholds = every_m[1:][np.diff(quantize_output(every_m)) != 0]
    gate_o = _Inverse(EVERY, sigmoid(EVERY, table))
    cells = (((32757 * tanh(EVERY, table) + 8) >> 4) + (1 << 14)) >> 15  # from g, i fully open
    cell_of_g = _Inverse(EVERY, tanh(cells, table))
    edges: list[Gates] = []
    for m in thresholds[::2].tolist():
        found = _factors((m << 15) - (1 << 14), gate_o, cell_of_g)
        if found is not None:
            edges.append((OPEN, 0, found[1], found[0]))
    return edges


def _gate_ties(name: str, *, peephole: bool, wide: bool) -> Vector:
    """R4' and R5 of gate o at ties in each of its terms, while all cells are full.

    Every rescaling halves an odd number. The sum stands where one unit less changes the output.
    """
    table = sigmoid_table(512 if wide else 64)
    p = np.arange(-9000, 9000)
    m = (sigmoid(p, table) * 32746 + (1 << 14)) >> 15  # tanh(c) of a full cell
    visible = p[1:][np.diff(m if wide else quantize_output(m)) != 0]
    wanted = visible[:: 1 + visible.size // 32]
    cells = 1 + wanted.size  # cell 0 only feeds the others with its odd output
    signs = 1 - 2 * (np.arange(cells) % 2)
    recurrent = np.zeros((4 * cells, cells), dtype=np.int64)
    recurrent[3 * cells + 1 :, 0] = signs[1:]
    fed_back = 32735 if wide else 127  # h - z_h of a full cell, odd
    halves = (fed_back * signs + 1) >> 1
    peephole_signs = 1 - 2 * (np.arange(cells) // 2 % 2) if peephole else np.zeros(cells, int)
    halves += (32767 * peephole_signs + 1) >> 1
    gate_inputs = np.full(4 * cells, OPEN)
    gate_inputs[3 * cells + 1 :] = wanted - halves[1:]
    peephole_weights = np.zeros((3, cells), dtype=np.int16)
    peephole_weights[2] = peephole_signs
    direction = LstmDirection(
        input_weights=sparse_matrix(np.zeros((4 * cells, 1), dtype=np.int64), wide=wide),
        recurrent_weights=sparse_matrix(recurrent, wide=wide),
        input_bias=2 * gate_inputs - 1,
        recurrent_bias=(0 if wide else -128) * recurrent.sum(axis=1),
        input_requantize=HALF,
        recurrent_requantize=HALF,
        peephole=LstmPeephole(peephole_weights, HALF) if peephole else None,
    )
    entry = Lstm("layer1", 1, cells, bidirectional=False, peephole=peephole)
    layer = LstmLayer("layer1", direction, None, "concatenate")
    pairs: Pairs = [(entry, layer), identity_output(cells, wide=wide)]
    about = "ties in every rescaling of gate o; one unit less in any changes the output"
    windows = np.zeros((FILLED + 2, 1), dtype=np.int16 if wide else np.uint8)
    rules = ("R4", "R5", "R10") if wide else ("R4", "R5")
    return model_vector(name, rules, about, pairs, [windows])


def _projection_ties() -> Vector:
    """R8 and R4: every projected output of full cells is a tie, of both signs."""
    cells, outputs = 3, 16
    zeros = np.zeros((4 * cells, 1), dtype=np.int64)
    weights = np.zeros((outputs, cells), dtype=np.int64)
    weights[:, 0] = 1
    projection = LstmProjection(
        weights=sparse_matrix(weights),
        bias=2 * np.arange(-64, 64, 8) - 128,  # plus h = 255: odd
        requantize=HALF,
        output_zero_point=100,
    )
    direction = LstmDirection(
        input_weights=sparse_matrix(zeros),
        recurrent_weights=sparse_matrix(np.zeros((4 * cells, outputs), dtype=np.int64)),
        input_bias=np.full(4 * cells, OPEN),
        recurrent_bias=np.zeros(4 * cells, dtype=np.int64),
        input_requantize=EXACTLY_ONE,
        recurrent_requantize=EXACTLY_ONE,
        projection=projection,
    )
    entry = Lstm("layer1", 1, cells, bidirectional=False, projection=outputs)
    layer = LstmLayer("layer1", direction, None, "concatenate")
    pairs: Pairs = [(entry, layer), identity_output(outputs)]
    about = "every output of the projection is a tie of R4"
    windows = np.zeros((FILLED, 1), dtype=np.uint8)
    return model_vector("r08_projection_rounding", ("R4", "R8"), about, pairs, [windows])


def _sigmoid_sweep() -> Vector:
    """Wide mode shows o to one unit: c sits at its upper end and x goes straight into gate o.

    x visits every segment's ends and the ties of the interpolation.
    """
    x = np.arange(-32768, 32768)
    remainder = np.abs(x) % 32
    near_edges = x[(remainder <= 1) | (remainder >= 30)]
    inside = near_edges[np.abs(near_edges) <= 16416]
    swept = np.concatenate([[-32768, 32767], inside[::7], np.arange(-16384, 16384, 149)])
    frames = np.concatenate([np.zeros(FILLED, dtype=np.int64), swept]).astype(np.int16)
    direction = LstmDirection(
        input_weights=sparse_matrix(np.array([[0], [0], [0], [1]]), wide=True),
        recurrent_weights=sparse_matrix(np.zeros((4, 1), dtype=np.int64), wide=True),
        input_bias=np.array([OPEN, OPEN, OPEN, 0]),
        recurrent_bias=np.zeros(4, dtype=np.int64),
        input_requantize=EXACTLY_ONE,
        recurrent_requantize=EXACTLY_ONE,
    )
    layer = LstmLayer("layer1", direction, None, "concatenate")
    pairs: Pairs = [
        (Lstm("layer1", 1, 1, bidirectional=False), layer),
        identity_output(1, wide=True),
    ]
    about = (
        "the output gate follows x while the cell is full: the sigmoid table read point by point"
    )
    return model_vector("r10_sigmoid_sweep", ("R6", "R10"), about, pairs, [frames[:, np.newaxis]])
