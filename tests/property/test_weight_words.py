"""Packed words, executed, are the weights again; each row ends as early as any packing allows.

Axes: N row groups, R row lanes, Q windows, G entries of a word, K columns of a task.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.compiler.packing import PackedTask, pack_chain, row_layout
from sparsespeech.compiler.word_format import (
    WordFields,
    decode_words,
    encode_words,
    window_of,
    window_width,
)
from sparsespeech.simulator.weights import TaskWeights, execute_words
from tests.random_models import random_sparse_matrix

MAU = TARGETS["mau-stratix10"]


@st.composite
def configurations(draw: st.DrawFn) -> AcceleratorConfig:
    """Small cores whose word fits 64 bits."""
    window_columns = draw(st.sampled_from([1, 2, 8, 64]))
    return replace(
        TARGETS["tiny"],
        row_lanes=draw(st.sampled_from([4, 8])),
        partial_sum_bits=13,
        windows=draw(st.sampled_from([1, 2, 4])),
        window_columns=window_columns,
        multipliers_per_window=draw(st.sampled_from([1, 2, 3, 4])),
        load_word_bytes=draw(
            st.sampled_from([size for size in (1, 2, 4) if size <= window_columns])
        ),
    )


@st.composite
def chains(draw: st.DrawFn) -> tuple[AcceleratorConfig, Any, NDArray[np.int32], Any]:
    """A configuration, a matrix, the rows of one chain [N, R] and its column slices."""
    config = draw(configurations())
    widths = draw(st.lists(st.integers(1, config.columns), min_size=1, max_size=3))
    edges = np.cumsum([0, *widths]).tolist()
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = draw(st.integers(1, 30))
    matrix = random_sparse_matrix(
        rng, (rows, edges[-1]), draw(st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.96, 1.0]))
    )
    groups = draw(st.integers(1, 1 + rows // config.row_lanes))
    chosen = np.full(groups * config.row_lanes, -1, dtype=np.int32)
    count = min(rows, chosen.size)
    chosen[rng.permutation(chosen.size)[:count]] = rng.permutation(rows)[:count]
    slices = tuple(itertools.pairwise(edges))
    return config, matrix, chosen.reshape(groups, config.row_lanes), slices


def executed(
    packed: PackedTask, groups: int, columns: int, config: AcceleratorConfig
) -> TaskWeights:
    start = np.zeros_like(packed.counts)
    return execute_words(
        packed.words,
        start,
        packed.counts,
        row_groups=groups,
        columns=columns,
        config=config,
        where="task 0",
    )


@settings(max_examples=80, deadline=None)
@given(chains())
def test_executed_words_are_the_weights_of_the_slice(chain: Any) -> None:
    config, matrix, rows, slices = chain
    dense = np.zeros(matrix.shape, dtype=np.int64)
    dense[np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start)), matrix.column] = (
        matrix.value
    )
    dense = np.vstack((dense, np.zeros(matrix.shape[1], dtype=np.int64)))  # row -1
    for (start, stop), packed in zip(slices, pack_chain(matrix, rows, slices, config), strict=True):
        weights = executed(packed, rows.shape[0], stop - start, config)
        found = np.zeros((rows.size, stop - start), dtype=np.int64)
        found[weights.row, weights.column] = weights.weight
        assert np.array_equal(found, dense[rows.reshape(-1), start:stop])
        assert weights.weight.all() and weights.row.size == np.count_nonzero(found)
        place = weights.row * config.columns + weights.column
        assert (np.diff(place) > 0).all()
        assert np.array_equal(weights.row_end[:, :, -1], packed.counts - 1)


@settings(max_examples=80, deadline=None)
@given(chains())
def test_row_ends_are_those_of_a_machine_that_reads_word_by_word(chain: Any) -> None:
    config, matrix, rows, slices = chain
    packed = pack_chain(matrix, rows, slices, config)[0]
    weights = executed(packed, rows.shape[0], slices[0][1], config)
    for lane in range(config.row_lanes):
        for window in range(config.windows):
            ends = []
            entry_bits = config.weight_bits + config.index_bits
            for place in range(packed.counts[lane, window]):
                marks = int(packed.words[lane, window, place]) >> (
                    config.multipliers_per_window * entry_bits
                )
                split, last = marks % 2**config.split_bits, marks // 2**config.split_bits
                ends += [place] * (1 if last else 2 if split else 0)
            assert ends == weights.row_end[lane, window].tolist()


def earliest_ends(counts: list[int], places: int) -> list[int]:
    """Earliest word in which each row can end, over all packings that the format allows."""
    # A state is the word in which the last row ended, the entries used there and its rows.
    states, earliest = {(-1, places, 2)}, []
    for count in counts:
        reached = set()
        for word, used, rows in states:
            shared = min(count, places - used) if rows < 2 else 0
            for before in range(shared + 1):
                left = count - before
                if rows < 2 and left == 0:
                    reached.add((word, used + before, 2))
                for words in range(max(1, -(-left // places)), max(1, left) + 1):
                    for inside in range(min(left, places) + 1):
                        if words - 1 <= left - inside <= (words - 1) * places:
                            reached.add((word + words, inside, 1))
        earliest.append(min(word for word, _, _ in reached))
        states = reached
    return earliest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(1, 4))
def test_no_packing_ends_a_row_in_an_earlier_word(counts: list[int], places: int) -> None:
    layout = row_layout(np.array(counts)[:, np.newaxis], places)
    assert layout.word[:, 0].tolist() == earliest_ends(counts, places)


@settings(max_examples=100, deadline=None)
@given(configurations(), st.integers(0, 2**32))
def test_fields_survive_the_word(config: AcceleratorConfig, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, places = (3, 5), config.multipliers_per_window
    ends = rng.integers(0, 3, shape)
    fields = WordFields(
        weight=rng.integers(-128, 128, (*shape, places)),
        index=rng.integers(0, config.window_columns, (*shape, places)),
        split=np.where(ends > 0, rng.integers(0, places + 1, shape), 0),
        ends=ends,
    )
    words = encode_words(fields, config)
    assert words.dtype == np.uint64
    assert int(words.max()).bit_length() <= config.word_bits
    again = decode_words(words, config)
    for name in ("weight", "index", "split", "ends"):
        assert np.array_equal(getattr(again, name), getattr(fields, name)), name


@given(configurations(), st.integers(1, 10**6))
def test_every_column_has_a_place_of_its_own(config: AcceleratorConfig, wish: int) -> None:
    columns = 1 + wish % config.columns
    window, index = window_of(np.arange(columns), window_width(columns, config))
    assert len(set(zip(window.tolist(), index.tolist(), strict=True))) == columns
    assert window.max() < config.windows
    assert index.max() < config.window_columns
    # A cycle of loading writes one word to each window: no window needs more cycles.
    assert index.max() // config.load_word_bytes < config.load_cycles(columns)


def cycles_of_a_pass(row_end: NDArray[np.int64], config: AcceleratorConfig) -> int:
    """Rules T2 to T4 for one core alone, row group by row group."""
    streams = row_end.reshape(-1, row_end.shape[-1])
    issue, pops = np.full(streams.shape[0], -1), []
    for group in range(streams.shape[1]):
        issue = issue + np.diff(streams, axis=1, prepend=-1)[:, group]
        if group >= config.window_fifo:
            issue = np.maximum(issue, pops[group - config.window_fifo] + config.stages.credit)
        arrival = int(issue.max()) + config.stages.window
        pops.append(max(arrival, pops[-1] + 1) if pops else arrival)
    return pops[-1] - config.stages.window + 1


@pytest.mark.parametrize(
    ("density", "pattern", "words", "cycles"),
    [
        (0.04, "unstructured", 0.77, 1.005),
        (0.05, "unstructured", 0.90, 1.02),
        (0.0625, "bank-balanced", 1.0, 1.0),
    ],
)
def test_a_core_of_the_paper_keeps_a_row_group_a_cycle(
    density: float, pattern: Any, words: float, cycles: float
) -> None:
    rows = np.arange(2048, dtype=np.int32).reshape(512, 4)
    matrix = random_matrix(np.random.default_rng(5), (2048, 1024), density, pattern)
    (packed,) = pack_chain(matrix, rows, ((0, 1024),), MAU)
    weights = executed(packed, 512, 1024, MAU)
    assert packed.counts.max() <= words * 512
    # The least that any packing needs: G entries and two row ends a word.
    entries = np.bincount(
        (matrix.column // 64) + 16 * (np.repeat(np.arange(2048), np.diff(matrix.row_start)) % 4),
        minlength=64,
    )
    bound = np.maximum(-(-entries // 4), 256)
    assert (packed.counts.reshape(-1) >= bound).all()
    assert packed.counts.sum() <= 1.15 * bound.sum()
    assert cycles_of_a_pass(weights.row_end, MAU) <= cycles * 512
