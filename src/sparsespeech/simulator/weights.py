"""What the weight memories of an accelerator program mean: split and last, executed.

Axes: N row groups of a task, R row lanes, Q windows, n weights, w words of a task.

A memory is read word by word. Every entry belongs to the row group that is open, until a word in
which that ends: there the entries from ``split`` on belong to the next one, which may end there
too. Nothing here is shared with the compiler that packed the words, so that a mistake of it does
not pass unseen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Program
from sparsespeech.errors import ProgramFileError

Numbers = NDArray[np.int64]


class TaskWeights(NamedTuple):
    """The weights of one task, sorted by row, then column, and when their rows end."""

    row: Numbers  # [n], row group * R + lane; the matrix's row is tail.rows.reshape(-1)[row]
    column: Numbers  # [n], counted from the first column of the task
    weight: Numbers  # [n], never 0
    row_end: Numbers  # [R, Q, N], word of the stream, from 0, in which the row group ends


class _Streams(NamedTuple):
    """The words of one task; stream s = lane * Q + window lies at ``first[s]``, in order."""

    where: str  # for messages
    config: AcceleratorConfig
    words: NDArray[np.uint64]  # [w]
    owner: Numbers  # [w], stream of each word
    first: Numbers  # [R Q]
    counts: Numbers  # [R Q]

    def refuse(self, broken: NDArray[np.bool_], flaw: str, word: Numbers | None = None) -> None:
        """Raise ProgramFileError for the first True of ``broken`` [w], or [..] of ``word``."""
        found = np.flatnonzero(broken)
        if not found.size:
            return
        at = int(found[0] if word is None else word[found[0]])
        lane, window = divmod(int(self.owner[at]), self.config.windows)
        place = at - int(self.first[self.owner[at]])
        raise ProgramFileError(
            f"{self.where}: lane {lane}, window {window}: word {place} {flaw}; compile it again"
        )


def task_weights(program: Program, task_number: int) -> TaskWeights:
    """The weights and row ends of task ``task_number`` of ``program``.

    Raises ProgramFileError naming matrix, lane, window and word for an image that no core can
    execute: a row without an end, words behind the last row, a column outside the task.
    """
    task = program.tasks[task_number]
    return execute_words(
        program.words[task.core],
        task.word_start,
        task.word_count,
        row_groups=program.chains[task.chain].row_groups,
        columns=task.columns[1] - task.columns[0],
        config=program.config,
        where=f"task {task_number} ({task.matrix}, core {task.core})",
    )


def execute_words(
    image: NDArray[np.uint64],
    word_start: NDArray[np.int32],
    word_count: NDArray[np.int32],
    *,
    row_groups: int,
    columns: int,
    config: AcceleratorConfig,
    where: str,
) -> TaskWeights:
    """The weights of the streams ``word_start``, ``word_count`` [R, Q] of one core's memory.

    ``image`` is [R, Q, words], ``row_groups`` N, at least 1; ``where`` begins the messages.
    Raises ProgramFileError as :func:`task_weights`.
    """
    streams = _read(image, word_start, word_count, config, where)
    ends, split = _row_marks(streams)
    row_end = _row_ends(streams, ends, row_groups)
    word, place, weight, index = _entries(streams)
    open_group = np.cumsum(ends) - ends - streams.owner * row_groups  # as every stream ends N
    group = open_group[word] + ((ends[word] > 0) & (place >= split[word]))
    streams.refuse(group >= row_groups, "holds a weight behind the last row", word)
    lane, window = np.divmod(streams.owner[word], config.windows)
    width = config.load_word_bytes * config.load_cycles(columns)  # what a load writes to a window
    column = window * width + index
    outside = (index >= width) | (column >= columns)
    streams.refuse(outside, f"names a column that the task of {columns} does not have", word)
    row = group * config.row_lanes + lane
    order = np.argsort(row * config.columns + column, kind="stable")
    row, column, weight, word = row[order], column[order], weight[order], word[order]
    twice = np.zeros(row.size, dtype=np.bool_)
    twice[1:] = (np.diff(row) == 0) & (np.diff(column) == 0)
    streams.refuse(twice, "names a column of its row a second time", word)
    return TaskWeights(row, column, weight, row_end)


def _read(
    image: NDArray[np.uint64],
    word_start: NDArray[np.int32],
    word_count: NDArray[np.int32],
    config: AcceleratorConfig,
    where: str,
) -> _Streams:
    """The task's words in one array; proves that they lie in the image and fit their bits."""
    shape = (config.row_lanes, config.windows)
    if image.ndim != 3 or image.shape[:2] != shape or image.dtype != np.uint64:
        raise ProgramFileError(
            f"{where}: the image is {image.dtype.name}{list(image.shape)}, expected "
            f"uint64[{shape[0]}, {shape[1]}, words]; compile it again"
        )
    if word_start.shape != shape or word_count.shape != shape:
        raise ProgramFileError(
            f"{where}: word_start {list(word_start.shape)} and word_count "
            f"{list(word_count.shape)} must be {list(shape)}; compile it again"
        )
    depth = image.shape[2]
    start, count = word_start.reshape(-1).astype(np.int64), word_count.reshape(-1).astype(np.int64)
    stop = start + count
    if start.min() < 0 or count.min() < 0 or stop.max() > depth:
        raise ProgramFileError(
            f"{where}: its words, {start.min()} to {stop.max()}, are not all in the image of "
            f"{depth} words a stream; compile it again"
        )
    first = np.cumsum(count) - count
    owner = np.repeat(np.arange(count.size), count)
    place = np.arange(owner.size) - first[owner]
    words = image.reshape(-1)[owner * depth + start[owner] + place]
    streams = _Streams(where, config, words, owner, first, count)
    if config.word_bits < 64:
        beyond = words >= np.uint64(1 << config.word_bits)
        streams.refuse(beyond, f"has more than {config.word_bits} bits")
    return streams


def _row_marks(streams: _Streams) -> tuple[Numbers, Numbers]:
    """Rows that end in each word and the ``split`` of the first, [w]; proves split <= G."""
    config = streams.config
    largest = config.multipliers_per_window
    shift = largest * (config.weight_bits + config.index_bits)
    marks = (streams.words >> np.uint64(shift)).astype(np.int64)  # split bits, then last
    last, split = np.divmod(marks, 1 << config.split_bits)
    ends = np.where(last == 1, 1, np.where(split > 0, 2, 0))  # two ends: no last, split + 1
    split -= ends == 2
    streams.refuse(split > largest, f"has a split above {largest}")
    return ends, split


def _row_ends(streams: _Streams, ends: Numbers, row_groups: int) -> Numbers:
    """[R, Q, N]; proves that N rows end in each stream, the last one in its last word."""
    config = streams.config
    running = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(ends)))
    found = running[streams.first + streams.counts] - running[streams.first]
    wrong = np.flatnonzero(found != row_groups)
    if wrong.size:
        lane, window = divmod(int(wrong[0]), config.windows)
        raise ProgramFileError(
            f"{streams.where}: lane {lane}, window {window}: {found[wrong[0]]} rows end, the chain "
            f"has {row_groups} row groups; compile it again"
        )
    final = streams.first + streams.counts - 1
    streams.refuse(ends[final] == 0, "follows the end of the last row", final)
    position = np.repeat(np.arange(ends.size), ends).reshape(-1, row_groups)
    position -= streams.first[:, np.newaxis]
    return position.reshape(config.row_lanes, config.windows, row_groups)


def _entries(streams: _Streams) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Word, entry of the word, weight and index of each weight; all else must be 0."""
    config = streams.config
    size, entry_size = 1 << config.weight_bits, 1 << (config.weight_bits + config.index_bits)
    parts = []
    for place in range(config.multipliers_per_window):
        shift = place * (config.weight_bits + config.index_bits)
        entry = (streams.words >> np.uint64(shift)).astype(np.int64) & (entry_size - 1)
        index, weight = np.divmod(entry, size)
        weight -= size * (weight >= size // 2)
        streams.refuse((weight == 0) & (index != 0), f"has an index without a weight at {place}")
        word = np.flatnonzero(weight)
        parts.append((word, np.full(word.size, place), weight[word], index[word]))
    word, places, weight, index = (np.concatenate(part) for part in zip(*parts, strict=True))
    return word, places, weight, index
