"""Nonzeros of a chain of cores to weight words, as few and as early as can be.

Axes: N row groups, R row lanes, Q windows, G multipliers of a window and lane, S column slices
(tasks of the chain), n nonzeros, J = S R Q streams.

A stream holds the weights of one slice, lane and window, row group after row group. Each word ends
one row group at most and is shared by two at most, so N row groups take N words at least. The
packer fills the word that ends a row with as much of the next row as fits, and starts a word only
when the one before is full. No other packing ends any row in an earlier word: a row that starts
with fewer weights in its predecessor's word needs no fewer words of its own, and a word spent
earlier gives no more than the G places it has. So the adder tree never waits for a row that could
have been there. ``docs/accelerator.md`` compares this with lockstep and with a crossbar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.word_format import WordFields, encode_words, window_of
from sparsespeech.model_file.model import SparseMatrix


class PackedTask(NamedTuple):
    """The words of one slice of a chain."""

    words: NDArray[np.uint64]  # [R, Q, most words of a stream], 0 behind a stream's last word
    count: NDArray[np.int32]  # [R, Q], words of each stream


class _Nonzeros(NamedTuple):
    """Weights in the order of their stream, row group and column; all arrays are [n]."""

    stream: NDArray[np.int64]  # (slice * R + lane) * Q + window
    group: NDArray[np.int64]
    ordinal: NDArray[np.int64]  # in the weights of this stream and row group
    index: NDArray[np.int64]  # in the window
    weight: NDArray[np.int64]


def pack_chain(
    matrix: SparseMatrix,
    rows: NDArray[np.int32],
    slices: tuple[tuple[int, int], ...],
    config: AcceleratorConfig,
) -> list[PackedTask]:
    """The words of each slice of the columns, for the matrix rows ``rows`` [N, R] (-1: none).

    Raises CompileError if a weight or a column does not fit its field of the word.
    """
    streams_of_slice = config.row_lanes * config.windows
    streams = streams_of_slice * len(slices)
    nonzeros, counts = _sorted_nonzeros(matrix, rows, slices, config)
    before, words_used, entries_in_last = _row_layout(counts, config.multipliers_per_window)
    row_end = np.cumsum(words_used, axis=0) - 1  # [N, J]
    totals = row_end[-1] + 1 if row_end.size else np.zeros(streams, dtype=np.int64)
    packed = []
    for number in range(len(slices)):
        first = number * streams_of_slice
        own = slice(*np.searchsorted(nonzeros.stream, (first, first + streams_of_slice)))
        part = _Nonzeros(*(array[own] for array in nonzeros))
        chosen = slice(first, first + streams_of_slice)
        words = _words(
            part._replace(stream=part.stream - first),
            before[:, chosen],
            row_end[:, chosen],
            entries_in_last[:, chosen],
            config,
        )
        shape = (config.row_lanes, config.windows)
        packed.append(
            PackedTask(
                words.reshape(*shape, words.shape[1]),
                totals[chosen].astype(np.int32).reshape(shape),
            )
        )
    return packed


def _sorted_nonzeros(
    matrix: SparseMatrix,
    rows: NDArray[np.int32],
    slices: tuple[tuple[int, int], ...],
    config: AcceleratorConfig,
) -> tuple[_Nonzeros, NDArray[np.int64]]:
    """The weights of all streams, and their counts int64[N, J]."""
    groups, lanes = rows.shape
    starts = np.array([start for start, _ in slices], dtype=np.int64)
    present = np.flatnonzero(rows.reshape(-1) >= 0)
    of_matrix = rows.reshape(-1)[present]
    lengths = np.diff(matrix.row_start)[of_matrix]
    group, lane = np.divmod(np.repeat(present, lengths), lanes)
    inside = np.arange(group.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    source = np.repeat(matrix.row_start[of_matrix], lengths) + inside
    column = matrix.column[source].astype(np.int64)
    part = np.searchsorted(starts, column, side="right") - 1
    window, index = window_of(column - starts[part], config)
    stream = (part * lanes + lane) * config.windows + window
    key = stream * groups + group
    order = np.argsort(key, kind="stable")  # columns of a row rise already
    streams = len(slices) * lanes * config.windows
    counts = np.bincount(key, minlength=streams * groups)
    key = key[order]
    ordinal = np.arange(key.size) - (np.cumsum(counts) - counts)[key]
    weight = matrix.value[source[order]].astype(np.int64)
    nonzeros = _Nonzeros(key // groups, key % groups, ordinal, index[order], weight)
    return nonzeros, np.ascontiguousarray(counts.reshape(streams, groups).T)


def _row_layout(
    counts: NDArray[np.int64], places: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How the weights of each row lie, from ``counts`` [N, J]; three arrays [N, J].

    Weights in the word that ends the row before; words from the next one to the row's own last;
    weights in that last word (its split).
    """
    before, words, split = np.empty_like(counts), np.empty_like(counts), np.empty_like(counts)
    free = np.zeros(counts.shape[1], dtype=np.int64)  # places left by the row before
    for row, count in enumerate(counts):
        np.minimum(count, free, out=before[row])
        left = count - before[row]
        np.maximum((left + places - 1) // places, 1, out=words[row])
        np.subtract(left, (words[row] - 1) * places, out=split[row])
        free = places - split[row]
    return before, words, split


def _words(
    nonzeros: _Nonzeros,
    before: NDArray[np.int64],
    row_end: NDArray[np.int64],
    split: NDArray[np.int64],
    config: AcceleratorConfig,
) -> NDArray[np.uint64]:
    """The words of one task, uint64[R Q, most words of a stream]."""
    streams = row_end.shape[1]
    places = config.multipliers_per_window
    depth = int(row_end[-1].max()) + 1 if row_end.size else 0
    end_before = np.vstack((np.full((1, streams), -1), row_end[:-1]))  # of the row before
    split_before = np.vstack((np.full((1, streams), places), split[:-1]))
    at = (nonzeros.group, nonzeros.stream)
    own = nonzeros.ordinal - before[at]  # number in the row's own words; negative: shared word
    shared = own < 0
    word = end_before[at] + np.where(shared, 0, 1 + own // places)
    place = np.where(shared, split_before[at] + nonzeros.ordinal, own % places)
    shape = (streams, depth)
    weight = np.zeros((*shape, places), dtype=np.int64)
    index = np.zeros((*shape, places), dtype=np.int64)
    weight[nonzeros.stream, word, place] = nonzeros.weight
    index[nonzeros.stream, word, place] = nonzeros.index
    last = np.zeros(shape, dtype=np.bool_)
    splits = np.zeros(shape, dtype=np.int64)
    every = np.arange(streams)[np.newaxis, :]
    last[every, row_end] = True
    splits[every, row_end] = split
    return encode_words(WordFields(weight, index, splits, last), config)
