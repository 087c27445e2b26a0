"""Bits of a weight word, one by one, and what it cannot hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.word_format import (
    WordFields,
    decode_words,
    encode_words,
    window_of,
    window_width,
)
from sparsespeech.errors import CompileError

MAU = TARGETS["mau-stratix10"]


def one_word(weight: list[int], index: list[int], split: int = 0, ends: int = 0) -> WordFields:
    return WordFields(np.array([weight]), np.array([index]), np.array([split]), np.array([ends]))


def test_a_word_of_the_paper_fills_three_memories_of_20_bits() -> None:
    assert MAU.word_bits == 60


def test_entries_lie_from_bit_0_upwards_weight_below_index() -> None:
    fields = one_word([3, -1, 0, -128], [5, 63, 0, 1])
    expected = 3 | 5 << 8 | 0xFF << 14 | 63 << 22 | 0x80 << 42 | 1 << 50
    assert encode_words(fields, MAU).tolist() == [expected]


@pytest.mark.parametrize(
    ("split", "ends", "marks"),
    [(0, 0, 0b0_000), (0, 1, 0b1_000), (4, 1, 0b1_100), (0, 2, 0b0_001), (4, 2, 0b0_101)],
)
def test_split_and_last_mark_none_one_or_two_row_ends(split: int, ends: int, marks: int) -> None:
    words = encode_words(one_word([0] * 4, [0] * 4, split, ends), MAU)
    assert words.tolist() == [marks << 56]
    again = decode_words(words, MAU)
    assert (again.split.tolist(), again.ends.tolist()) == ([split], [ends])


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (one_word([128, 0, 0, 0], [0] * 4), "weight reaches from 0 to 128.*holds -128 to 127"),
        (one_word([1, 0, 0, 0], [64, 0, 0, 0]), "index reaches from 0 to 64.*holds 0 to 63"),
        (one_word([0] * 4, [0] * 4, split=5, ends=1), "split reaches from 5 to 5"),
        (one_word([0] * 4, [0] * 4, ends=3), "ends reaches from 3 to 3"),
    ],
)
def test_a_field_out_of_its_range_is_refused(fields: WordFields, error: str) -> None:
    with pytest.raises(CompileError, match=error):
        encode_words(fields, MAU)


def test_a_word_above_64_bits_is_refused_with_what_helps() -> None:
    wide = replace(MAU, weight_bits=16)
    with pytest.raises(CompileError, match="a weight word has 92 bits, at most 64 .*--config"):
        decode_words(np.zeros(1, dtype=np.uint64), wide)


def test_windows_are_runs_of_neighbouring_columns_as_narrow_as_the_task_allows() -> None:
    assert window_width(1024, MAU) == 64
    assert window_width(494, MAU) == 32  # 16 cycles of loading, 2 bytes each
    window, index = window_of(np.array([0, 31, 32, 493]), window_width(494, MAU))
    assert window.tolist() == [0, 0, 1, 15]
    assert index.tolist() == [0, 31, 0, 13]
