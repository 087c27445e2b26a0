"""Whole runs: the paper's network at full size, and programs that cannot run."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.program import HOST, Mapping, Program
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.machine import Run, simulate
from tests.hand_made_programs import Layer, build_program, even_slots, uniform_row_ends

MAU = TARGETS["mau-stratix10"]
PREFIX = 160 + 288 + 50 * 544  # layers 1 to 3 of 50 frames, load and a row group a cycle
ALONE = {"partial_sums": 16, "gate_inputs": 16, "credits": 1, "order": 1}


@cache
def deepspeech_program(mapping: Mapping) -> Program:
    """Table II of the MAU paper: 2, 4, 4 and 24 cores."""
    paper = mapping == "paper"
    layers = [Layer(2048, 2), Layer(2048, 2), Layer(4096, 2)]
    slots = even_slots(16, {**ALONE, "activations": 4 if paper else 8})
    return build_program(MAU, mapping, 494, layers, 2048, 2 if paper else 4, slots)


@cache
def tiny_program(mapping: Mapping = "paper") -> Program:
    """A linear layer of two chains in front of a small LSTM."""
    config = replace(TARGETS["tiny"], grid_rows=4, grid_columns=4, cores=16)
    slots = even_slots(16, {**ALONE, "activations": 4})
    return build_program(config, mapping, 30, [Layer(40, 2)], 12, 1, slots, places=6)


def run(program: Program, waves: list[list[int]]) -> Run:
    return simulate(program, uniform_row_ends(program), waves)


def test_deepspeech_uses_the_34_cores_of_the_paper() -> None:
    for mapping in ("paper", "interleaved"):
        assert len({task.core for task in deepspeech_program(mapping).tasks}) == 34


def test_a_second_of_audio_in_the_paper_mapping() -> None:
    cycles = run(deepspeech_program("paper"), [[50]]).cycles
    assert PREFIX + 50 * (1024 + 32) < cycles <= 86_500  # 0.346 ms


def test_a_second_of_audio_interleaved() -> None:
    cycles = run(deepspeech_program("interleaved"), [[50]]).cycles
    assert PREFIX + 50 * 512 < cycles <= 65_000  # 0.26 ms


@pytest.mark.parametrize(("mapping", "frame"), [("paper", 1056), ("interleaved", 2 * 544)])
def test_two_utterances_in_flight_hide_the_recurrence(mapping: Mapping, frame: int) -> None:
    program = deepspeech_program(mapping)
    waves = [[10, 10]]
    assert run(program, waves * 5).cycles - run(program, waves * 4).cycles == 20 * frame


def test_a_second_bank_hides_the_load() -> None:
    program = deepspeech_program("paper")
    double = replace(program, config=replace(MAU, double_buffered=True))
    waves = [[10, 10]]
    assert run(double, waves * 5).cycles - run(double, waves * 4).cycles == 20 * 1024


def test_latencies_are_taken_from_the_first_flit_of_each_utterance() -> None:
    result = run(tiny_program(), [[3, 2], [1]])
    starts = {
        (frame.wave, frame.utterance): cycle
        for frame, cycle in result.host_frames
        if frame.index == 0
    }
    ends: dict[tuple[int, int], int] = {}
    for output in result.outputs:
        key = (output.frame.wave, output.frame.utterance)
        ends[key] = max(ends.get(key, 0), output.arrival)
    assert result.latencies == (
        (ends[0, 0] - starts[0, 0], ends[0, 1] - starts[0, 1]),
        (ends[1, 0] - starts[1, 0],),
    )
    assert set(result.frame_latencies) == {
        (0, 0, 0),
        (0, 0, 1),
        (0, 0, 2),
        (0, 1, 0),
        (0, 1, 1),
        (1, 0, 0),
    }
    assert max(result.frame_latencies.values()) <= max(result.latencies[0])
    assert result.cycles == max(ends.values())


def test_utterances_end_when_the_next_ones_are_far_behind() -> None:
    """Six places in the sequence memory: the third wave waits for the first."""
    result = run(tiny_program(), [[3], [3], [3]])
    last = {output.frame.wave: output.arrival for output in result.outputs}
    assert last[0] < last[1] < last[2]


@pytest.mark.parametrize("places", [1, 2, 5])
def test_forward_frames_go_round_in_a_ring(places: int) -> None:
    """A tail loads a frame when the one ``places`` before has left; with enough places earlier."""
    slots = even_slots(16, {**ALONE, "activations": 4})
    config, layers = tiny_program().config, [Layer(40, 2)]
    forward = build_program(config, "paper", 30, layers, 12, 1, slots, directions=("forward",))
    waits = loads_after_leaving(run(_with_places(forward, places), [[20]]), places)
    assert min(waits) == config.stages.credit
    assert min(loads_after_leaving(run(forward, [[20]]), places)) < 0


def loads_after_leaving(result: Run, places: int) -> list[int]:
    """Cycles from the last flit of frame n to the load of frame n + places, of all memories."""
    program = result.program
    waits = []
    for memory in program.sequences:
        tail = program.tasks[program.chains[memory.chain].tasks[-1]].core
        (block,) = (number for number, one in enumerate(result.blocks) if one.cores[-1] == tail)
        left = [int(flits[-1]) for flits in result.flits[memory.streams[0]]]
        loads = [int(entry.times.decided[-1]) for entry in result.passes[block]]
        waits += [load - leave for load, leave in zip(loads[places:], left, strict=False)]
    return waits


def _with_places(program: Program, places: int) -> Program:
    sequences = tuple(replace(entry, frames=places) for entry in program.sequences)
    return replace(program, sequences=sequences)


def without_streams(program: Program, kind: str) -> Program:
    """The streams of one kind keep their number and lose their sinks."""
    return replace(
        program,
        streams=tuple(
            replace(stream, sinks=(), kind="order") if stream.kind == kind else stream
            for stream in program.streams
        ),
    )


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("partial_sums", "no partial_sums stream leads from core"),
        ("gate_inputs", "no gate_inputs stream leads from core"),
        ("credits", "has no credits stream"),
    ],
)
def test_a_program_without_a_kind_of_stream(kind: str, message: str) -> None:
    program = build_program(
        replace(TARGETS["tiny"], grid_rows=4, grid_columns=4, cores=16),
        "paper",
        100,
        [Layer(40, 2)],
        12,
        1,
        even_slots(16, {**ALONE, "activations": 4}),
    )
    with pytest.raises(SimulationError, match=message):
        run(without_streams(program, kind), [[2]])


def test_recurrent_cores_need_the_heads_of_the_frames() -> None:
    program = tiny_program()
    recurrent = {
        task.core for task in program.tasks if program.chains[task.chain].role == "recurrent"
    }
    sequence = program.sequences[0].streams
    streams = tuple(
        replace(stream, sinks=tuple(sink for sink in stream.sinks if sink.core not in recurrent))
        if number in sequence
        else stream
        for number, stream in enumerate(program.streams)
    )
    with pytest.raises(SimulationError, match="no stream of forward x frames reaches"):
        run(replace(program, streams=streams), [[2]])


def test_a_run_without_results_has_no_end() -> None:
    program = tiny_program()
    streams = tuple(
        replace(stream, sinks=tuple(sink for sink in stream.sinks if sink.core != HOST))
        if stream.kind == "activations"
        else stream
        for stream in program.streams
    )
    with pytest.raises(SimulationError, match="no stream of results reaches the host"):
        run(replace(program, streams=streams), [[1]])


def test_chains_that_share_some_of_their_cores() -> None:
    program = tiny_program()
    tasks = tuple(replace(task, core=0) for task in program.tasks)
    with pytest.raises(SimulationError, match=r"cores \[0\] work for several chains"):
        run(replace(program, tasks=tasks), [[1]])


def test_chains_in_the_wrong_order() -> None:
    program = build_program(
        replace(TARGETS["tiny"], grid_rows=4, grid_columns=4, cores=16),
        "paper",
        20,
        [Layer(20, 1), Layer(20, 1)],
        0,
        1,
        even_slots(16, {**ALONE, "activations": 4}),
    )
    with pytest.raises(SimulationError, match="on which no frame has been sent before"):
        run(replace(program, chains=program.chains[::-1]), [[1]])


def test_row_ends_of_another_program() -> None:
    program = tiny_program()
    ends = uniform_row_ends(program)
    ends[0] = ends[0][:, :, :-1]
    with pytest.raises(SimulationError, match=r"chain0: .* have \[4\] row groups, expected 5"):
        simulate(program, ends, [[1]])


def test_sequences_that_disagree_about_directions() -> None:
    program = tiny_program()
    first, second = program.sequences
    other = replace(second, directions=("forward",), streams=second.streams[:1])
    with pytest.raises(SimulationError, match="expected backward as in the first sequence"):
        run(replace(program, sequences=(first, other)), [[1]])


def test_results_do_not_depend_on_numpy_types() -> None:
    program = tiny_program("interleaved")
    ends = [entry.astype(np.int64) for entry in uniform_row_ends(program)]
    assert simulate(program, ends, [[2, 3]]).cycles == run(program, [[2, 3]]).cycles


def test_both_directions_of_a_core_share_one_stream_and_its_slots() -> None:
    """Interleaved: chains of both directions name the same stream; its flits never coincide."""
    program = deepspeech_program("interleaved")
    tails: dict[int, set[int | None]] = {}
    for chain in program.chains:
        if chain.role == "recurrent":
            core = program.tasks[chain.tasks[-1]].core
            tails.setdefault(core, set()).add(chain.output_stream)
    assert len(tails) == 4
    waves = [[3, 2], [2]]
    found = run(program, waves)
    frames = sum(map(sum, waves))
    for core, streams in tails.items():
        (number,) = streams
        assert number is not None
        stream = program.streams[number]
        assert stream.source == core
        put_on = found.flits[number]
        assert len(put_on) == 2 * frames  # a frame of each direction
        cycles = np.concatenate(put_on)
        assert (np.diff(cycles) > 0).all()
        assert set((cycles % MAU.slots).tolist()) <= set(stream.slots)
        made = [out for out in found.outputs if program.chains[out.chain].output_stream == number]
        delay = stream_delay(program, number)
        assert sorted(out.arrival for out in made) == [int(one[-1]) + delay for one in put_on]
        directions = [out.frame.direction for out in made]
        assert directions.count("forward") == directions.count("backward") == frames


def stream_delay(program: Program, number: int) -> int:
    """From putting on to the host."""
    hops = next(sink.hops for sink in program.streams[number].sinks if sink.core == HOST)
    return hops * MAU.stages.hop + MAU.stages.eject
