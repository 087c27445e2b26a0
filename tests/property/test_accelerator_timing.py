"""The simulator's recurrences give the cycles of a machine that is stepped cycle by cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig, StageDepths
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import HOST, Mapping, Program
from sparsespeech.graph import deepspeech
from sparsespeech.simulator.machine import Run, simulate
from sparsespeech.simulator.sequence import Frame
from sparsespeech.simulator.weights import task_weights
from tests.accelerator_plans import model_of_shapes
from tests.cycle_stepped.clock import Log
from tests.cycle_stepped.frame_order import Head
from tests.cycle_stepped.machine import Machine, Memories, memories_of_ends, memories_of_images
from tests.hand_made_programs import Layer, build_program, even_slots, uniform_row_ends
from tests.random_models import random_sparse_matrix

STAGE_NAMES = list(StageDepths.__dataclass_fields__)
waves_in_flight = st.lists(
    st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=1, max_size=3
)


@st.composite
def configs(draw: st.DrawFn) -> AcceleratorConfig:
    """Small cores with any stage depths, FIFOs and banks."""
    depths = draw(st.lists(st.integers(1, 6), min_size=len(STAGE_NAMES), max_size=len(STAGE_NAMES)))
    return AcceleratorConfig(
        name="random",
        device="none",
        grid_rows=draw(st.integers(7, 9)),
        grid_columns=7,
        cores=49,
        row_lanes=draw(st.sampled_from([4, 8])),
        flit_bits=208,
        windows=draw(st.sampled_from([1, 2])),
        multipliers_per_window=2,
        window_columns=draw(st.sampled_from([4, 8])),
        window_fifo=draw(st.integers(1, 16)),
        chain_fifo=draw(st.integers(1, 16)),
        double_buffered=draw(st.booleans()),
        load_word_bytes=draw(st.sampled_from([1, 2])),
        staging_frames=draw(st.integers(2, 4)),
        flit_activations=draw(st.sampled_from([2, 4, 8])),
        slots=draw(st.sampled_from([4, 8, 16])),
        stages=StageDepths(**dict(zip(STAGE_NAMES, depths, strict=True))),
    )


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, list[np.ndarray], list[list[int]]]:
    """A program on a tiny grid, the ends of its rows, uneven or even, and waves that fit."""
    waves = draw(waves_in_flight)
    contexts = max(len(wave) for wave in waves) + draw(st.integers(0, 1))
    config = replace(draw(configs()), contexts=contexts)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = st.builds(Layer, st.integers(2, config.columns * 2), st.sampled_from([1, 2]))
    inputs = draw(st.integers(1, config.columns * 2))
    layers = draw(st.lists(layer, max_size=3))
    recurrent = draw(st.booleans()) or draw(st.booleans()) or not layers
    hidden = draw(st.integers(2, config.columns * 2)) if recurrent else 0
    mapping = draw(st.sampled_from(["paper", "interleaved"]))
    directions = ("forward", "backward")
    if mapping == "paper" and draw(st.booleans()):
        directions = ("forward",)

    def slots(kind: str, streams: int) -> list[tuple[int, ...]]:
        owners = rng.integers(0, streams, size=config.slots)
        owners[rng.permutation(config.slots)[:streams]] = np.arange(streams)
        chosen = [np.flatnonzero(owners == stream) for stream in range(streams)]
        return [tuple(int(slot) for slot in entry[: rng.integers(1, 5)]) for entry in chosen]

    longest = max(sum(wave) for wave in waves)
    places = longest + draw(st.integers(0, 3))
    if directions == ("forward",):  # a ring holds less than a wave
        places = draw(st.integers(1, places))
    program = build_program(
        config,
        mapping,
        inputs,
        layers,
        hidden,
        draw(st.sampled_from([1, 2])),
        slots,
        places=places,
        stretch=draw(st.integers(1, 2)),
        directions=directions,
    )
    ends = skewed_row_ends(program, rng, draw(st.sampled_from([0.0, 0.3, 3.0])))
    return program, ends, waves


def skewed_row_ends(program: Program, rng: np.random.Generator, extra: float) -> list[np.ndarray]:
    """Where rows end, two at most in a word, some streams with more words; [R, Q, N] a task."""
    config = program.config
    ends = []
    for task in program.tasks:
        shape = (config.row_lanes, config.windows, program.chains[task.chain].row_groups)
        rate = extra * rng.random(shape[:2])[:, :, None] * (rng.random(shape[2]) < 0.5)
        words = 1 + rng.poisson(np.broadcast_to(rate, shape))
        for row in range(1, shape[2]):  # a word may end two rows
            shared = (rng.random(shape[:2]) < 0.3) & (words[:, :, row - 1] > 0)
            words[:, :, row][shared] = 0
        ends.append((np.cumsum(words, axis=2) - 1).astype(np.int32))
    return ends


def head_of(run: Run, frame: Frame) -> Head:
    """What the head of a frame must say."""
    lengths = run.waves[frame.wave]
    longest = [place for place, length in enumerate(lengths) if length == max(lengths)]
    closing = (longest[-1], max(lengths) - 1) if frame.direction != "backward" else (0, 0)
    closes_wave = (frame.utterance, frame.index) == closing
    return Head(
        frame.wave,
        frame.utterance,
        frame.index,
        frame.direction,
        frame.first,
        frame.last,
        closes_wave,
    )


def assert_same(program: Program, run: Run, log: Log) -> None:
    """Every load, issue, pop, flit and arrival."""
    seen = 0
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        variants = {variant.direction: variant for variant in wiring.variants}
        for entry in passes:
            frame, times = entry.frame, entry.times
            head = head_of(run, frame)
            for place, task in enumerate(variants[frame.direction].tasks):
                key = (task, head)
                where = f"task {task} {head}"
                assert int(times.decided[place]) == log.loads[key], where
                assert int(times.started[place]) == log.starts[key], where
                assert int(times.stopped[place]) == log.stops[key], where
                assert times.pops[place].tolist() == log.pops[key], where
                seen += 1
    assert seen == len(log.pops)
    for index, stream in enumerate(program.streams):
        flits = [cycle for put_on in run.flits[index] for cycle in put_on.tolist()]
        stepped = log.flits[index]
        if stream.kind == "credits":  # the last ones may still be in their queue
            flits = flits[: len(stepped)]
        assert flits == stepped, stream.name
    arrivals = {
        (
            program.chains[output.chain].output_stream,
            head_of(run, output.frame),
        ): output.arrival
        for output in run.outputs
    }
    assert arrivals == log.outputs
    assert run.cycles == max(log.outputs.values())


def assert_latencies(run: Run, log: Log) -> None:
    """From the first flit of an utterance to its last activation, by the stepped machine."""
    hosts = [
        index
        for index, stream in enumerate(run.program.streams)
        if stream.source == HOST and stream.kind == "activations"
    ]
    first = min(log.flits[index][0] for index in hosts)
    ends = [cycle for (_, head), cycle in log.outputs.items() if head[:2] == (0, 0)]
    if len(run.waves[0]) == 1:
        assert run.latencies[0][0] == max(ends) - first


def stepped_machine(
    program: Program, row_ends: list[np.ndarray], waves: list[list[int]]
) -> Machine:
    """The stepped machine at the end of a run."""
    run = simulate(program, row_ends, waves)
    machine = Machine(program, memories_of_ends(row_ends), waves)
    machine.run(len(run.outputs), run.cycles + 100)
    return machine


def check(
    made: tuple[Program, list[np.ndarray], list[list[int]]], memories: Memories | None = None
) -> None:
    """Run both machines; ``memories`` of the stepped one, if not made from the row ends."""
    program, row_ends, waves = made
    run = simulate(program, row_ends, waves)
    stepped = Machine(program, memories or memories_of_ends(row_ends), waves)
    log = stepped.run(len(run.outputs), run.cycles + 100)
    assert_same(program, run, log)
    assert_latencies(run, log)


@settings(max_examples=60)
@given(programs())
def test_every_cycle_is_that_of_the_stepped_machine(
    made: tuple[Program, list[np.ndarray], list[list[int]]],
) -> None:
    check(made)


@pytest.mark.slow
@settings(max_examples=1500)
@given(programs())
def test_every_cycle_of_many_programs(
    made: tuple[Program, list[np.ndarray], list[list[int]]],
) -> None:
    check(made)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_every_cycle_of_a_compiled_program(mapping: Mapping) -> None:
    """Words as the compiler packs them, circuits as it routes them."""
    rng = np.random.default_rng(1)
    config = replace(TARGETS["tiny"], grid_rows=6, grid_columns=6, cores=36, window_columns=64)
    model = model_of_shapes(
        deepspeech(32), lambda rows, columns: random_sparse_matrix(rng, (rows, columns), 0.93)
    )
    program = lower(model, config, mapping)
    row_ends = [task_weights(program, task).row_end for task in range(len(program.tasks))]
    check((program, row_ends, [[3, 2], [2]]), memories_of_images(program))


def waiting_program(units: int, outputs: int, mapping: Mapping, **parameters: int) -> Program:
    """One or two chains of a linear layer, then an LSTM whose steps take long."""
    config = replace(
        TARGETS["tiny"],
        grid_rows=7,
        grid_columns=7,
        cores=49,
        window_columns=8,
        flit_activations=2,
        contexts=1,
        stages=StageDepths(pointwise=300),
        **parameters,
    )
    kinds = ("activations", "credits", "order", "partial_sums", "gate_inputs")
    slots = even_slots(config.slots, dict.fromkeys(kinds, 4))
    directions = ("forward",) if mapping == "paper" else ("forward", "backward")
    layer = Layer(outputs, 2 if mapping == "interleaved" else 1)
    return build_program(config, mapping, 4, [layer], units, 1, slots, directions=directions)


@pytest.mark.parametrize(
    ("frames", "places", "units"), [(2, 5, 1), (3, 4, 1), (4, 6, 2), (2, 7, 3)]
)
@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_heads_fill_the_queue_that_they_have(
    mapping: Mapping, frames: int, places: int, units: int
) -> None:
    """Gate inputs of ``places`` row groups run ahead of a slow step, and ``frames`` more wait."""
    program = waiting_program(units, 4, mapping, staging_frames=frames, chain_fifo=places)
    machine = stepped_machine(program, uniform_row_ends(program), [[20]])
    stagings = [core.staging for core in machine.cores.values() if core.staging.recurrent]
    assert [staging.most_heads for staging in stagings] == [frames + places // units]


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_orders_fill_the_queue_that_they_have(frames: int) -> None:
    """The first chain of a layer is ahead of the second, which has 400 words more."""
    program = waiting_program(2, 8, "interleaved", staging_frames=frames)
    slow = program.sequences[1].chain
    row_ends = [
        ends + 400 * (task.chain == slow)
        for task, ends in zip(program.tasks, uniform_row_ends(program), strict=True)
    ]
    machine = stepped_machine(program, row_ends, [[12]])
    assert [sequence.most_orders for sequence in machine.sequences] == [0, frames]
