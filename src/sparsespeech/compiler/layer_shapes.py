"""Shapes of matrices, and how a core of a given size cuts them: no weights are needed for that.

Axes: R row lanes, H cells of one direction, K columns of a core. A *step* finishes R rows: R rows
of a fully connected layer, or the four gates of R / 4 units of an LSTM (S2 section IV-C: "a single
matrix for 4 rows in parallel, for up to 1024 columns per row").
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Role
from sparsespeech.graph import Layer, Linear, Lstm

GATES = 4  # rows of a unit, i, f, g, o (R5); the lanes of a step hold them side by side
Direction = Literal["", "forward", "backward"]


@dataclass(frozen=True)
class MatrixShape:
    """One matrix of an accelerated layer; its name is the one of ``matrices.matrix_of``."""

    name: str
    layer: str
    direction: Direction
    role: Role
    rows: int
    columns: int

    @property
    def units(self) -> int:
        """Outputs of the layer (linear) or cells of the direction (LSTM)."""
        return self.rows if self.role == "linear" else self.rows // GATES

    def units_of_step(self, config: AcceleratorConfig) -> int:
        """Outputs or cells that one step finishes."""
        return config.row_lanes if self.role == "linear" else config.row_lanes // GATES

    def steps(self, config: AcceleratorConfig) -> int:
        """Steps of one pass over all rows."""
        return math.ceil(self.units / self.units_of_step(config))


def directions_of(layer: Layer) -> tuple[Direction, ...]:
    """Directions in which an LSTM runs; one without a name for any other layer."""
    if not isinstance(layer, Lstm):
        return ("",)
    return ("forward", "backward") if layer.bidirectional else ("forward",)


def matrix_shapes(layer: Layer) -> tuple[MatrixShape, ...]:
    """Matrices of a fully connected layer or an LSTM; by direction, input before recurrent."""
    if isinstance(layer, Linear):
        name = f"{layer.name}.weights"
        return (MatrixShape(name, layer.name, "", "linear", layer.outputs, layer.inputs),)
    if not isinstance(layer, Lstm):
        return ()
    rows = GATES * layer.cells
    return tuple(
        shape
        for direction in directions_of(layer)
        for shape in (
            MatrixShape(
                f"{layer.name}.{direction}.input_weights",
                layer.name,
                direction,
                "gate_input",
                rows,
                layer.inputs,
            ),
            MatrixShape(
                f"{layer.name}.{direction}.recurrent_weights",
                layer.name,
                direction,
                "recurrent",
                rows,
                layer.recurrent_inputs,
            ),
        )
    )


def column_slices(columns: int, config: AcceleratorConfig) -> tuple[tuple[int, int], ...]:
    """The fewest nearly equal runs of columns of at most K, in whole load cycles where possible."""
    count = math.ceil(columns / config.columns)
    widths = [
        config.load_bytes * part for part in _nearly_equal(config.load_cycles(columns), count)
    ]
    if max(widths) > config.columns:  # K is no multiple of a load cycle
        widths = _nearly_equal(columns, count)
    edges = [min(edge, columns) for edge in itertools.accumulate(widths, initial=0)]
    return tuple(itertools.pairwise(edges))


def step_runs(steps: int, groups: int) -> tuple[tuple[int, int], ...]:
    """First step and number of steps of each of ``groups`` row groups; nearly equal."""
    parts = _nearly_equal(steps, groups)
    return tuple(zip(itertools.accumulate([0, *parts[:-1]]), parts, strict=True))


def rows_of_steps(
    shape: MatrixShape, config: AcceleratorConfig, first: int, count: int
) -> NDArray[np.int32]:
    """Matrix row of each step and lane, int32[count, R]; -1 for a lane without a row.

    Lane r of an LSTM holds gate r % 4 of the step's unit r // 4 (R5: gate g of unit u is row
    g * H + u).
    """
    lane = np.arange(config.row_lanes)
    unit_of_lane, gate = (lane, 0 * lane) if shape.role == "linear" else divmod(lane, GATES)
    step = np.arange(first, first + count)[:, np.newaxis]
    unit = step * shape.units_of_step(config) + unit_of_lane
    return np.where(unit < shape.units, gate * shape.units + unit, -1).astype(np.int32)


def unit_run(
    shape: MatrixShape, config: AcceleratorConfig, first: int, count: int
) -> tuple[int, int]:
    """First output (or cell) of a run of steps, and how many it has."""
    width = shape.units_of_step(config)
    start = first * width
    return start, min(shape.units, (first + count) * width) - start


def _nearly_equal(total: int, parts: int) -> list[int]:
    """``parts`` integers with the sum ``total`` that differ by at most 1, larger ones first."""
    small, larger = divmod(total, parts)
    return [small + (number < larger) for number in range(parts)]
