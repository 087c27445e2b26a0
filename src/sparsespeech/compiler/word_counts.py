"""How many weight words a matrix needs in each lane and window, for any number of row groups.

Axes: P row groups, T column slices (tasks), N steps of a row group, R row lanes, Q windows.

Only the number of nonzeros of each row in each window counts, which is found once a matrix.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_shapes import MatrixShape, rows_of_steps, step_runs
from sparsespeech.compiler.packing import row_layout
from sparsespeech.compiler.word_format import window_of, window_width
from sparsespeech.model_file.model import SparseMatrix

Integers = NDArray[np.int64]


def entries_of_windows(
    matrix: SparseMatrix, slices: tuple[tuple[int, int], ...], config: AcceleratorConfig
) -> Integers:
    """Nonzeros of each row in each slice and window; int64[rows, T, Q]."""
    rows, count = matrix.shape[0], len(slices)
    edges = np.array([start for start, _ in slices])
    widths = np.array([window_width(stop - start, config) for start, stop in slices])
    row = np.repeat(np.arange(rows), np.diff(matrix.row_start))
    task = np.searchsorted(edges, matrix.column, side="right") - 1
    window, _ = window_of(matrix.column - edges[task], widths[task])
    place = (row * count + task) * config.windows + window
    total = np.bincount(place, minlength=rows * count * config.windows)
    return total.reshape(rows, count, config.windows)


def words_of_streams(entries: Integers, places: int) -> Integers:
    """Words of streams of rows with ``places`` entries a word; int64[N, ...] to int64[...]."""
    layout = row_layout(entries.reshape(entries.shape[0], -1), places)
    return np.asarray(layout.word[-1] + 1).reshape(entries.shape[1:])


def words_of_row_groups(
    entries: Integers, shape: MatrixShape, groups: int, config: AcceleratorConfig
) -> Integers:
    """Words of every stream; int64[rows, T, Q] entries to int64[P, T, R, Q]."""
    nothing = np.zeros((1, *entries.shape[1:]), dtype=np.int64)
    padded = np.concatenate([entries, nothing])  # row -1: a lane without a row
    runs = step_runs(shape.steps(config), groups)
    words = np.empty((groups, config.row_lanes, *entries.shape[1:]), dtype=np.int64)
    # Row groups have one of two lengths, longer ones first: all of a length run at once.
    for _, same in itertools.groupby(enumerate(runs), key=lambda run: run[1][1]):
        numbers, chosen = zip(*same, strict=True)
        rows = np.stack([rows_of_steps(shape, config, *run) for run in chosen], axis=1)
        # Rows [N, P, R] give entries [N, P, R, T, Q].
        words[list(numbers)] = words_of_streams(padded[rows], config.multipliers_per_window)
    return np.swapaxes(words, 1, 2)
