"""The weight word of a row lane and window, and where a column of a task lies in its windows.

Axes: G multipliers of a window and lane, Q windows, W columns of a window, K = Q W columns of a
core, b bytes that a window's store takes in a cycle of loading.

A word, from bit 0 upwards: G entries of ``weight_bits`` (two's complement) and ``index_bits``
(column inside the window), then ``split_bits``, then ``last``. It holds entries of two rows at
most and ends two at most:

- no row ends: ``last`` 0, split bits 0; all entries belong to the row that goes on;
- one row ends: ``last`` 1, split bits s; entries below s belong to it, the others to the next row;
- two rows end: ``last`` 0, split bits s + 1; entries below s belong to the first, the others to
  the second.

An entry without a weight has weight 0 and index 0. That a word may end two rows is what lets a
window with few weights run ahead and one with many catch up: two short rows take one word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.errors import CompileError

WORD_BITS = 64  # of the unsigned integers that hold words on the host

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class WordFields:
    """The parts of an array of words of any shape [...]."""

    weight: Integers  # [..., G], -2^(weight_bits-1) .. 2^(weight_bits-1) - 1
    index: Integers  # [..., G], 0 .. W-1
    split: Integers  # [...], 0 .. G, entries of the first row that ends here; 0 if none does
    ends: Integers  # [...], rows that end here, 0 .. 2


def check_word_bits(config: AcceleratorConfig) -> None:
    """Raise CompileError if a word of ``config`` does not fit 64 bits."""
    if config.word_bits > WORD_BITS:
        raise CompileError(
            f"{config.name}: a weight word has {config.word_bits} bits, at most {WORD_BITS} can be "
            "compiled; set fewer multipliers_per_window or weight_bits with --config"
        )


def encode_words(fields: WordFields, config: AcceleratorConfig) -> NDArray[np.uint64]:
    """Words uint64[...] of ``fields``; the inverse of :func:`decode_words`.

    Raises CompileError for a word above 64 bits or a field that is out of its range.
    """
    check_word_bits(config)
    half = 1 << (config.weight_bits - 1)
    _check_range("weight", fields.weight, -half, half - 1)
    _check_range("index", fields.index, 0, config.window_columns - 1)
    _check_range("split", fields.split, 0, config.multipliers_per_window)
    _check_range("ends", fields.ends, 0, 2)
    weight = fields.weight.astype(np.int64).view(np.uint64) & _mask(config.weight_bits)
    index = fields.index.astype(np.uint64) << np.uint64(config.weight_bits)
    entry_bits = config.weight_bits + config.index_bits
    split = fields.split.astype(np.uint64) + (fields.ends == 2).astype(np.uint64)
    words = split << np.uint64(config.word_bits - 1 - config.split_bits)
    words |= (fields.ends == 1).astype(np.uint64) << np.uint64(config.word_bits - 1)
    for place in range(config.multipliers_per_window):
        words |= (weight[..., place] | index[..., place]) << np.uint64(place * entry_bits)
    return np.asarray(words)


def decode_words(words: NDArray[np.uint64], config: AcceleratorConfig) -> WordFields:
    """The fields of ``words``, all int64; bits above a word are dropped.

    Raises CompileError for a word above 64 bits.
    """
    check_word_bits(config)
    entry_bits = config.weight_bits + config.index_bits
    places = np.arange(config.multipliers_per_window, dtype=np.uint64) * np.uint64(entry_bits)
    entries = words[..., np.newaxis] >> places
    half = np.int64(1 << (config.weight_bits - 1))
    weight = (entries & _mask(config.weight_bits)).astype(np.int64)
    index = (entries >> np.uint64(config.weight_bits)) & _mask(config.index_bits)
    split = words >> np.uint64(config.word_bits - 1 - config.split_bits)
    split = (split & _mask(config.split_bits)).astype(np.int64)
    last = ((words >> np.uint64(config.word_bits - 1)) & np.uint64(1)).astype(np.int64)
    two_end = (last == 0) & (split > 0)
    return WordFields(
        weight=(weight ^ half) - half,
        index=index.astype(np.int64),
        split=split - two_end,
        ends=last + 2 * two_end,
    )


def window_width(columns: int, config: AcceleratorConfig) -> int:
    """Columns of each window of a task of ``columns`` columns; the last windows may hold fewer.

    A cycle of loading writes b columns to each window at once: windows are as narrow as the task
    allows, and the load of a narrow task ends early.
    """
    return config.load_word_bytes * config.load_cycles(columns)


def window_of(columns: Integers, width: int | Integers) -> tuple[Integers, Integers]:
    """Window 0 .. Q-1 and index 0 .. W-1 of columns of a task whose windows are ``width`` wide.

    Windows are runs of neighbouring columns, so that matrices with the same number of weights in
    each run (bank-balanced pruning) need the same number of words in each window.
    """
    return columns // width, columns % width


def _mask(bits: int) -> np.uint64:
    return np.uint64((1 << bits) - 1)


def _check_range(name: str, values: Integers, lowest: int, highest: int) -> None:
    if values.size and (values.min() < lowest or values.max() > highest):
        raise CompileError(
            f"weight words: {name} reaches from {values.min()} to {values.max()}, the word of this "
            f"configuration holds {lowest} to {highest}"
        )
