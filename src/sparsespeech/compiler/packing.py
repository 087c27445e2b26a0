"""Nonzeros of a chain of cores to weight words, as few and as early as can be.

Axes: N row groups, R row lanes, Q windows, G multipliers of a window and lane, S column slices
(tasks of the chain), n nonzeros, J = S R Q streams.

A stream holds the weights of one slice, lane and window, row group after row group. A word holds
entries of two rows at most. The packer puts as much of the next row behind the end of a row as
fits; if all of it fits, it ends there too and the word is closed; other words are filled. No
packing ends any row in an earlier word: whatever is put later leaves the rows behind it no more
room. So the adder tree never waits for a row that could have been there, and a window that was
late catches up: short rows go by two a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.word_format import (
    WordFields,
    encode_words,
    window_of,
    window_width,
)
from sparsespeech.model_file.model import SparseMatrix


@dataclass(frozen=True, eq=False)
class PackedTask:
    """The words of one slice of a chain."""

    words: NDArray[np.uint64]  # [R, Q, most words of a stream], 0 behind a stream's last word
    counts: NDArray[np.int32]  # [R, Q], words of each stream


class RowLayout(NamedTuple):
    """How the weights of each row lie in the words of its stream; all arrays are int64[N, J]."""

    before: NDArray[np.int64]  # weights in the word in which the row before ends
    word: NDArray[np.int64]  # in which the row ends
    split: NDArray[np.int64]  # weights in that word, but for rows that join
    joins: NDArray[np.int64]  # 1 if the row before ends in that word as well


@dataclass(frozen=True, eq=False)
class _Nonzeros:
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
    shape = (config.row_lanes, config.windows)
    streams = config.row_lanes * config.windows
    nonzeros, counts = _sorted_nonzeros(matrix, rows, slices, config)
    edges = np.searchsorted(nonzeros.stream, streams * np.arange(len(slices) + 1))
    packed = []
    for number in range(len(slices)):
        own = slice(edges[number], edges[number + 1])
        part = _Nonzeros(
            nonzeros.stream[own] - number * streams,
            nonzeros.group[own],
            nonzeros.ordinal[own],
            nonzeros.index[own],
            nonzeros.weight[own],
        )
        layout = row_layout(
            counts[:, number * streams : (number + 1) * streams], config.multipliers_per_window
        )
        words = _words(part, layout, config)
        packed.append(
            PackedTask(
                words.reshape(*shape, words.shape[1]),
                (layout.word[-1] + 1).astype(np.int32).reshape(shape),
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
    widths = np.array([window_width(stop - start, config) for start, stop in slices])
    window, index = window_of(column - starts[part], widths[part])
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


def row_layout(counts: NDArray[np.int64], places: int) -> RowLayout:
    """Where the rows of streams end: ``counts`` [N, J] weights, ``places`` entries of a word."""
    layout = RowLayout(*(np.empty_like(counts) for _ in RowLayout._fields))
    word = np.full(counts.shape[1], -1)
    free = np.zeros_like(word)  # places behind the row that ends in ``word``
    open_ = np.zeros(word.shape, dtype=np.bool_)  # another row may share ``word``
    for row, count in enumerate(counts):
        np.minimum(count, free, out=layout.before[row])
        left = count - layout.before[row]
        joins = open_ & (left == 0)
        words = np.where(joins, 0, np.maximum(-(-left // places), 1))
        word = word + words
        layout.word[row] = word
        layout.split[row] = left - np.where(joins, 0, (words - 1) * places)
        layout.joins[row] = joins
        open_ = ~joins
        free = np.where(joins, 0, places - layout.split[row])
    return layout


def _words(nonzeros: _Nonzeros, layout: RowLayout, config: AcceleratorConfig) -> NDArray[np.uint64]:
    """The words of one task, uint64[R Q, most words of a stream]."""
    streams = layout.word.shape[1]
    places = config.multipliers_per_window
    at = (nonzeros.group, nonzeros.stream)
    word_before = np.vstack((np.full((1, streams), -1), layout.word[:-1]))
    split_before = np.vstack((np.zeros((1, streams), dtype=np.int64), layout.split[:-1]))
    own = nonzeros.ordinal - layout.before[at]  # number in the row's own words; negative: shared
    word = word_before[at] + np.where(own < 0, 0, 1 + own // places)
    place = np.where(own < 0, split_before[at] + nonzeros.ordinal, own % places)
    shape = (streams, int(layout.word[-1].max()) + 1)
    weight, index = np.zeros((2, *shape, places), dtype=np.int64)
    weight[nonzeros.stream, word, place] = nonzeros.weight
    index[nonzeros.stream, word, place] = nonzeros.index
    split, ends = np.zeros((2, *shape), dtype=np.int64)
    stream = np.broadcast_to(np.arange(streams), layout.word.shape)
    first = layout.joins == 0
    split[stream[first], layout.word[first]] = layout.split[first]
    ends[stream[first], layout.word[first]] = 1
    ends[stream[~first], layout.word[~first]] = 2
    return encode_words(WordFields(weight, index, split, ends), config)
