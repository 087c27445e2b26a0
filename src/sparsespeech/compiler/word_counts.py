"""How many weight words a matrix needs in each lane and window, before any word is packed.

Axes: P row groups, T column slices (tasks), N steps of a row group, R row lanes, Q windows, G
entries of a word.

A word holds entries of at most two rows and ends at most one. Packed as early as possible, row i
ends in word ``w`` and its entries fill the stream up to entry ``p``:

    w = max(w + 1, ceil((p + n) / G) - 1)        n entries of row i; one row end a word
    p = max(p + n, w * G)                        the next row starts in word w or behind

No order of the same entries ends earlier: neither may a row start before the word in which the
row before it ends, nor two rows end in one word.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_shapes import MatrixShape, rows_of_steps, step_runs
from sparsespeech.compiler.word_format import window_of
from sparsespeech.model_file.model import SparseMatrix

Integers = NDArray[np.int64]


def entries_of_windows(
    matrix: SparseMatrix, slices: tuple[tuple[int, int], ...], config: AcceleratorConfig
) -> Integers:
    """Nonzeros of each row in each slice and window; int64[rows, T, Q]."""
    rows, count = matrix.shape[0], len(slices)
    edges = np.array([start for start, _ in slices])
    row = np.repeat(np.arange(rows), np.diff(matrix.row_start))
    task = np.searchsorted(edges, matrix.column, side="right") - 1
    window, _ = window_of(matrix.column - edges[task], config)
    place = (row * count + task) * config.windows + window
    total = np.bincount(place, minlength=rows * count * config.windows)
    return total.reshape(rows, count, config.windows)


def words_of_streams(entries: Integers, per_word: int) -> Integers:
    """Words of streams of rows; int64[N, ...] entries to int64[...]."""
    last = np.full(entries.shape[1:], -1, dtype=np.int64)
    filled = np.zeros(entries.shape[1:], dtype=np.int64)
    for row in entries:
        filled = filled + row
        last = np.maximum(last + 1, -(-filled // per_word) - 1)
        filled = np.maximum(filled, last * per_word)
    return last + 1


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
