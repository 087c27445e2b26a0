"""One core of an accelerator alone: cycles of a pass over a matrix, and how even its banks are.

Axes: N row groups (steps of a pass), R row lanes, Q windows, K columns of a core, H cells.

The core has its input ready, writes the next while it multiplies, and its weight memory is as deep
as it needs to be. So a pass takes N cycles at best, and more only where the weights crowd. A *bank*
holds the weights of one row lane in one window: R Q banks a core, each with multipliers of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.benchmarks.result import Row
from sparsespeech.compiler.layer_shapes import MatrixShape, rows_of_steps
from sparsespeech.compiler.packing import row_layout
from sparsespeech.compiler.program import Role
from sparsespeech.compiler.word_counts import entries_of_windows
from sparsespeech.model_file.model import IntegerModel, LstmLayer, SparseMatrix
from sparsespeech.simulator.core import Block

PASSES = 6  # the last two are timed


def core_row(matrix: SparseMatrix, role: Role, config: AcceleratorConfig) -> Row:
    """Cycles and evenness of ``matrix`` [rows, at most K] on one core, its rows as compiled.

    ``cycles_per_row_group`` is 1 at best. ``fewest_possible`` is what the same weights would take
    if they were spread evenly; ``fullest_bank_over_mean`` and ``fullest_lane_over_mean`` say how
    far they are from that.
    """
    rows, columns = matrix.shape
    shape = MatrixShape("matrix", "layer", "", role, rows, columns)
    steps = rows_of_steps(shape, config, 0, shape.steps(config))
    entries = entries_of_windows(matrix, ((0, columns),), config)[:, 0]
    counts = np.where(steps[:, :, np.newaxis] >= 0, entries[steps], 0)  # [N, R, Q]
    groups = len(steps)
    ends = row_layout(counts.reshape(groups, -1), config.multipliers_per_window).word
    cycles = _cycles_of_pass(config, ends.astype(np.int32), columns)
    work = -(-matrix.nonzeros // config.multipliers)
    banks = counts.sum(axis=0)  # [R, Q]
    return {
        "cycles_per_pass": cycles,
        "cycles_per_row_group": cycles / groups,
        "fewest_possible": max(1.0, work / groups),
        "fullest_bank_over_mean": float(banks.max() / banks.mean()),
        "fullest_lane_over_mean": float(banks.mean(axis=1).max() / banks.mean()),
        "words_of_longest_stream": int(ends[-1].max()) + 1,
    }


def input_weights(model: IntegerModel, config: AcceleratorConfig) -> SparseMatrix | None:
    """[4 H, C] of the first LSTM's forward direction, or None where they do not fill K columns."""
    for layer in model.layers:
        if isinstance(layer, LstmLayer) and layer.forward.input_weights.shape[1] >= config.columns:
            return layer.forward.input_weights
    return None


def first_columns(matrix: SparseMatrix, count: int) -> SparseMatrix:
    """The first ``count`` columns of all rows."""
    rows = matrix.shape[0]
    kept = matrix.column < count
    row = np.repeat(np.arange(rows), np.diff(matrix.row_start))[kept]
    row_start = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=rows))))
    return SparseMatrix((rows, count), row_start, matrix.column[kept], matrix.value[kept])


def _cycles_of_pass(config: AcceleratorConfig, row_ends: NDArray[np.int32], columns: int) -> float:
    """From pass to pass; ``row_ends`` [N, R Q], the word in which each row of each bank ends."""
    loads = np.array([[config.load_cycles(columns)]])
    config = replace(config, double_buffered=True)
    block = Block(config, (), (row_ends[:, np.newaxis],), loads)
    ends = [block.advance(0, np.zeros(1, dtype=np.int64)).last_pop(0) for _ in range(PASSES)]
    return (ends[-1] - ends[-3]) / 2
