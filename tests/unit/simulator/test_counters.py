"""Where the cycles of a run went."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.program import HOST, Link, Mapping, Program
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Block
from sparsespeech.simulator.counters import (
    IssueSplit,
    Wires,
    core_counters,
    issue_split,
    link_flits,
    link_utilisation,
    step_split,
)
from sparsespeech.simulator.machine import Run, simulate
from tests.hand_made_programs import Layer, build_program, even_slots

SLOTS = even_slots(
    16, {"activations": 4, "credits": 1, "order": 1, "partial_sums": 16, "gate_inputs": 16}
)


def some_program(mapping: Mapping, *, double_buffered: bool = False, inputs: int = 70) -> Program:
    config = replace(
        TARGETS["tiny"],
        grid_rows=5,
        grid_columns=5,
        cores=25,
        double_buffered=double_buffered,
        window_fifo=4,
    )
    return build_program(config, mapping, inputs, [Layer(80, 2)], 70, 2, SLOTS)


def some_run(program: Program, waves: list[list[int]], extra: float = 0.6) -> Run:
    rng = np.random.default_rng(5)
    config = program.config
    ends = []
    for task in program.tasks:
        shape = (config.row_lanes, config.windows, program.chains[task.chain].row_groups)
        ends.append(np.cumsum(1 + rng.poisson(extra, shape), axis=2) - 1)
    return simulate(program, ends, waves)


@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_every_cycle_of_a_core_is_counted_once(mapping: Mapping, double_buffered: bool) -> None:
    program = some_program(mapping, double_buffered=double_buffered)
    run = some_run(program, [[4, 3], [2]])
    counters = core_counters(run)
    assert sorted(entry.core for entry in counters) == sorted({t.core for t in program.tasks})
    for entry in counters:
        counts = [entry.multiply, entry.row_limit, entry.stall, entry.load, entry.drain]
        assert min([*counts, entry.recurrence, entry.idle]) >= 0
        assert entry.total == run.cycles
        assert entry.utilisation == entry.multiply / run.cycles
    feeding = [
        entry
        for wiring, first in zip(run.blocks, starts_of_blocks(run), strict=True)
        for entry in counters[first : first + wiring.feeding]
    ]
    assert all(entry.recurrence == 0 for entry in feeding)
    assert any(entry.recurrence > 0 for entry in counters)


def starts_of_blocks(run: Run) -> list[int]:
    """Index of the first core of each block in the counters."""
    return np.cumsum([0] + [len(wiring.cores) for wiring in run.blocks])[:-1].tolist()


def test_words_and_issues_of_a_core_are_its_multiplying_and_stalling() -> None:
    program = some_program("paper")
    run = some_run(program, [[3]])
    counters = {entry.core: entry for entry in core_counters(run)}
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        for place, core in enumerate(wiring.cores):
            busy = sum(int(e.times.stopped[place] - e.times.started[place]) + 1 for e in passes)
            counted = counters[core]
            assert counted.multiply + counted.row_limit + counted.stall == busy
            assert counters[core].multiply == sum(int(e.times.words[place]) for e in passes)
    assert any(entry.stall for entry in counters.values())


def issue_of_one_core(row_ends: np.ndarray, window_fifo: int) -> IssueSplit:
    """A pass of a core without neighbours; ``row_ends`` [N, streams]."""
    config = replace(TARGETS["tiny"], window_fifo=window_fifo)
    ends = row_ends.astype(np.int32)[:, None, :]
    return issue_split(Block(config, (), (ends,), np.array([[5]])).advance(0, np.array([100])), 0)


def test_sparse_rows_wait_for_a_row_group_a_cycle_and_do_not_stall() -> None:
    """By hand: two row groups in each word, one leaves a cycle, 16 wait in the FIFO."""
    row_groups, stages = 40, TARGETS["tiny"].stages
    ends = np.repeat(np.arange(row_groups)[:, None] // 2, 8, axis=1)
    last_issue = stages.window + (row_groups - 1 - 16) + stages.credit
    assert issue_of_one_core(ends, 16) == (20, last_issue + 1 - 20, 0)


def test_a_word_a_row_group_meets_no_limit() -> None:
    assert issue_of_one_core(np.repeat(np.arange(40)[:, None], 8, axis=1), 16) == (40, 0, 0)


def test_a_fifo_shorter_than_the_way_through_it_stalls() -> None:
    """4 row groups leave in as many cycles as the first needs to its pop and its credit back."""
    stages = TARGETS["tiny"].stages
    round_trip = stages.window + stages.credit
    assert round_trip > 4
    cycles = 9 * round_trip + 4  # of 40 row groups
    found = issue_of_one_core(np.repeat(np.arange(40)[:, None] // 2, 8, axis=1), 4)
    assert (found.multiply, found.row_limit) == (20, 20)
    assert found.stall == pytest.approx(cycles - 40, abs=4)  # how the last four share words


def test_rows_of_many_words_stall_and_meet_no_row_limit() -> None:
    """Two streams that are long in turn: each is held up by the other's long rows."""
    halves = np.repeat([[8, 1], [1, 8]], 20, axis=0)  # words of 40 row groups, in two streams
    found = issue_of_one_core(np.cumsum(halves, axis=0) - 1, 4)
    assert (found.multiply, found.row_limit) == (20 * 8 + 20, 0)
    assert found.stall >= 20 * 7 - 4 * 8  # the second begins its long half that much later


@pytest.mark.parametrize("double_buffered", [False, True])
@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_parts_of_a_step_are_the_whole_step(
    mapping: Mapping, direction: str, double_buffered: bool
) -> None:
    run = some_run(some_program(mapping, double_buffered=double_buffered), [[6], [4]])
    periods = []
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        steps = [entry for entry in passes if entry.frame.direction == direction]
        if wiring.recurrent:
            periods += [
                int(after.times.started[-1] - before.times.started[-1])
                for before, after in pairwise(steps)
                if not after.frame.first
            ]
    split = step_split(run, direction)
    assert split.total == pytest.approx(np.mean(periods), abs=1e-9)
    stages = run.program.config.stages
    tree = stages.tree_level + stages.chain_add + stages.output_register
    assert split.arithmetic == tree + stages.requantize + stages.pointwise
    assert split.flit == stages.flit + stages.inject
    assert split.load == (70 // 2) // 4 + 1 + stages.staging_read - 1
    parts = [split.multiply, split.row_limit, split.stall, split.sums, split.slot, split.network]
    assert min(parts) >= 0


def test_steps_are_split_for_one_utterance_at_a_time() -> None:
    program = some_program("paper")
    with pytest.raises(SimulationError, match="waves of one utterance"):
        step_split(some_run(program, [[2, 2]]))
    with pytest.raises(SimulationError, match="no forward step follows another"):
        step_split(some_run(program, [[1]]))


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_links_carry_flits_and_sums(mapping: Mapping) -> None:
    program = program_with_one_link_each(some_program(mapping))
    frames = 3
    run = some_run(program, [[frames]])
    wires = {
        "activations": "frames",
        "credits": "control",
        "order": "control",
        "partial_sums": "sums",
        "gate_inputs": "sums",
    }
    carried = link_flits(run)
    assert len(carried) == len(program.streams)
    for number, stream in enumerate(program.streams):
        flits = carried[Wires(wires[stream.kind], (0, number), (1, number))]
        if stream.kind == "credits":
            assert flits == frames * (
                1 if mapping == "paper" or first_layer(run, stream.source) else 2
            )
        elif stream.kind == "activations" and stream.source < 0:
            assert flits == frames * -(-stream.frame // 8)
    chains = program.chains
    sums = sum(
        carried[Wires("sums", (0, number), (1, number))]
        for number, stream in enumerate(program.streams)
        if stream.kind in ("partial_sums", "gate_inputs")
    )
    # Every task but that of a tail sends a sum a row group; gate tails send gate inputs.
    expected = sum(
        frames * chain.row_groups * (len(chain.tasks) - (chain.role != "gate_input"))
        for chain in chains
    )
    assert sums == expected
    shares = link_utilisation(run)
    assert shares == {link: flits / run.cycles for link, flits in carried.items()}


def test_kinds_of_wires_of_one_link_are_counted_apart() -> None:
    program = some_program("interleaved")
    apart = some_run(program_with_one_link_each(program), [[3]])
    common = tuple(
        replace(stream, links=(Link((1, 1), (1, 2), stream.slots),)) for stream in program.streams
    )
    together = link_flits(some_run(replace(program, streams=common), [[3]]))
    assert set(together) == {Wires(kind, (1, 1), (1, 2)) for kind in ("frames", "control", "sums")}
    for wires, flits in together.items():
        assert flits == sum(f for other, f in link_flits(apart).items() if other.kind == wires.kind)


def program_with_one_link_each(program: Program) -> Program:
    """Every stream on a link that no other one uses."""
    streams = tuple(
        replace(stream, links=(Link((0, number), (1, number), stream.slots),))
        for number, stream in enumerate(program.streams)
    )
    return replace(program, streams=streams)


def first_layer(run: Run, core: int) -> bool:
    """Whether a core belongs to a linear layer."""
    return any(core in wiring.cores for wiring in run.blocks if not wiring.recurrent)


def test_the_two_ways_of_the_hosts_port_are_counted_apart() -> None:
    program = some_program("paper")
    port = (Link((0, 0), (0, 0), (0,)),)
    streams = tuple(
        replace(stream, links=port)
        if stream.kind == "activations"
        and (stream.source == HOST or any(sink.core == HOST for sink in stream.sinks))
        else stream
        for stream in program.streams
    )
    run = some_run(replace(program, streams=streams), [[3]])
    inwards = 3 * -(-70 // 8)
    outwards = 3 * 2 * 2 * -(-35 // 8)  # frames, directions, row groups
    assert link_flits(run) == {
        Wires("frames", (0, 0), (0, 0), to_host=False): inwards,
        Wires("frames", (0, 0), (0, 0), to_host=True): outwards,
    }
