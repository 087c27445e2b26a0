"""Passes of one block: rules T1 to T7, word by word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.simulator.core import Block, NeighbourLink

CONFIG = TARGETS["tiny"]
LOADS = 3
CHAIN = (NeighbourLink(0, 1, 6, 3), NeighbourLink(1, 2, 5, 3))


def row_ends(
    rng: np.random.Generator, row_groups: int, cores: int, extra: float, shared: float = 0.0
) -> np.ndarray:
    """Positions of the last words, [N, C, S], some streams longer than others."""
    words = 1 + rng.poisson(extra * rng.random((1, cores, 8)), size=(row_groups, cores, 8))
    for row in range(1, row_groups):  # a word may end two rows
        words[row][(rng.random((cores, 8)) < shared) & (words[row - 1] > 0)] = 0
    return (np.cumsum(words, axis=0) - 1).astype(np.int32)


def block(
    config: AcceleratorConfig, ends: np.ndarray, links: tuple[NeighbourLink, ...] = CHAIN
) -> Block:
    return Block(config, links, (ends,), np.full((1, ends.shape[1]), LOADS))


def pops_by_words(
    config: AcceleratorConfig,
    passes: list[tuple[np.ndarray, np.ndarray]],
    links: tuple[NeighbourLink, ...],
) -> tuple[list[list[int]], list[list[int]]]:
    """Pops of each core through all passes and last issues of each pass, by the rules' words.

    ``passes``: starts [C] and row ends [N, C, S] of each.
    """
    cores = passes[0][0].size
    pops: list[list[int]] = [[] for _ in range(cores)]
    stops = []
    for starts, ends in passes:
        cycle = [[int(starts[core]) - 1] * ends.shape[2] for core in range(cores)]
        word = [[-1] * ends.shape[2] for _ in range(cores)]
        for row in range(ends.shape[0]):
            for core in range(cores):
                ready = pops[core][-1] + 1 if pops[core] else 0
                group = len(pops[core])
                for stream, end in enumerate(ends[row, core].tolist()):
                    cycle[core][stream] += end - word[core][stream]
                    word[core][stream] = end
                    if group >= config.window_fifo:
                        room = pops[core][group - config.window_fifo] + config.stages.credit
                        cycle[core][stream] = max(cycle[core][stream], room)
                    ready = max(ready, cycle[core][stream] + config.stages.window)
                for link in links:
                    if link.sink == core:
                        ready = max(ready, pops[link.source][group] + link.delay)
                    if link.source == core and group >= config.chain_fifo:
                        back = pops[link.sink][group - config.chain_fifo]
                        ready = max(ready, back + link.credit)
                pops[core].append(ready)
        stops.append([max(cycle[core]) for core in range(cores)])
    return pops, stops


@pytest.mark.parametrize("seed", range(6))
def test_pops_follow_from_the_rules_word_by_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = replace(
        CONFIG,
        window_fifo=int(rng.integers(1, 17)),
        chain_fifo=int(rng.integers(1, 17)),
        double_buffered=bool(seed % 2),
    )
    ends = row_ends(rng, 40, 3, extra=2.0, shared=0.4)
    timed = block(config, ends)
    complete = np.zeros(3, dtype=np.int64)
    passes = [timed.advance(0, complete + 20 * number) for number in range(4)]
    pops, stops = pops_by_words(config, [(entry.started, ends) for entry in passes], CHAIN)
    assert np.concatenate([entry.pops for entry in passes], axis=1).tolist() == pops
    assert [entry.stopped.tolist() for entry in passes] == stops
    assert [entry.last_pop(2) for entry in passes] == [pops[2][40 * n + 39] for n in range(4)]


def test_one_word_a_row_pops_every_cycle() -> None:
    ends = np.broadcast_to(np.arange(50, dtype=np.int32)[:, None, None], (50, 1, 8))
    step = block(CONFIG, ends, ()).advance(0, np.array([7]))
    stages = CONFIG.stages
    assert step.decided.tolist() == [7]
    assert step.started.tolist() == [7 + stages.staging_read + LOADS]
    assert step.pops[0].tolist() == [
        int(step.started[0]) + stages.window + row for row in range(50)
    ]
    assert step.stopped.tolist() == [int(step.started[0]) + 49]
    assert step.words.tolist() == [50]


@pytest.mark.parametrize(
    ("fetch", "cycles"), [(1, 2 + LOADS), (4, 2 + LOADS), (5, 1 + 5), (9, 1 + 9)]
)
def test_the_first_words_are_fetched_while_the_store_is_loaded(fetch: int, cycles: int) -> None:
    ends = np.broadcast_to(np.arange(9, dtype=np.int32)[:, None, None], (9, 1, 8))
    config = replace(CONFIG, stages=replace(CONFIG.stages, fetch=fetch, staging_read=2))
    step = block(config, ends, ()).advance(0, np.array([7]))
    assert (step.started - step.decided).tolist() == [cycles]


def test_a_pass_that_begins_like_an_earlier_one_is_that_one_shifted() -> None:
    ends = row_ends(np.random.default_rng(3), 30, 3, extra=1.0)
    timed = block(CONFIG, ends)
    first = timed.advance(0, np.array([0, 4, 9]))
    later = timed.advance(0, np.array([5000, 5004, 5009]))
    assert later.relative_pops is first.relative_pops
    assert (later.pops == first.pops + 5000).all()
    assert (later.started == first.started + 5000).all()
    assert (later.stopped == first.stopped + 5000).all()


def test_one_bank_loads_behind_the_last_read_two_banks_while_the_core_multiplies() -> None:
    ends = row_ends(np.random.default_rng(4), 30, 1, extra=0.0)
    there = np.zeros(1, dtype=np.int64)
    single = block(CONFIG, ends, ())
    first, second = single.advance(0, there), single.advance(0, there)
    assert int(second.decided[0]) == int(first.started[0])  # and waits for the bank
    assert int(second.started[0]) == int(first.stopped[0]) + 1 + LOADS
    double = block(replace(CONFIG, double_buffered=True), ends, ())
    first, second, third = (double.advance(0, there) for _ in range(3))
    assert int(second.decided[0]) == int(first.started[0])
    assert int(second.started[0]) == int(first.stopped[0]) + 1
    loaded = int(second.decided[0]) + CONFIG.stages.staging_read + LOADS
    assert int(third.decided[0]) == loaded < int(first.stopped[0])
    assert int(third.started[0]) == int(second.stopped[0]) + 1
