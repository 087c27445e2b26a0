"""Where the cycles of a run went: of each core, of one recurrent step, and of the wires of links.

C cores of a block. All figures are cycles or shares of cycles.

A core issues the words of a pass in three kinds of cycles. It *multiplies* in as many as its
longest stream has words. With fewer words than row groups it waits on: the adder tree takes one row
group a cycle (T4), however sparse the rows are. This *row limit* is the rest up to a cycle a row
group. What a pass takes beyond both is a *stall*: streams are uneven, or sums of other cores are
late, and FIFOs are full or empty. All three follow from the first and the last issue of a pass and
from two numbers that the compiler knows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sparsespeech.accelerator_counters import CoreCounters
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.slot_wheel import wires_of
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Pass
from sparsespeech.simulator.machine import FramePass, Run
from sparsespeech.simulator.wiring import BlockWiring


@dataclass(frozen=True)
class StepSplit:
    """Mean cycles of one recurrent step, from the first issue of a step's tail to the next's."""

    multiply: float
    row_limit: float
    stall: float
    sums: float  # last word to last pop: window pipeline and the partial sums of other cores
    arithmetic: float  # adder tree, requantization, gates and cell
    flit: float  # assembly of the last flit
    slot: float  # its wait for a slot of the wheel
    network: float  # hops, staging
    others: float  # the other row groups, and the frame order
    load: float

    @property
    def total(self) -> float:
        """Cycles from step to step."""
        return float(sum(astuple(self)))


def core_counters(run: Run) -> tuple[CoreCounters, ...]:
    """For every core that holds a task, in the order of the blocks."""
    counters = []
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        for place in range(len(wiring.cores)):
            counters.append(_count(run, wiring, passes, place))
    return tuple(counters)


def _count(
    run: Run, wiring: BlockWiring, passes: tuple[FramePass, ...], place: int
) -> CoreCounters:
    pipeline = pipeline_cycles(run, wiring, place)
    counts = dict.fromkeys(
        ("multiply", "row_limit", "stall", "load", "drain", "recurrence", "idle"), 0
    )
    free = 0  # first cycle that nothing is counted for
    drained = 0  # first cycle in which no result of the passes before is in the pipeline
    for entry in passes:
        times = entry.times
        started = int(times.started[place])
        loading = max(free, int(times.decided[place]))
        drain = max(0, min(drained, loading) - free)
        steps_on = place >= wiring.feeding and not entry.frame.first
        counts["drain"] += drain
        counts["recurrence" if steps_on else "idle"] += loading - free - drain
        counts["load"] += started - loading
        free = int(times.stopped[place]) + 1
        issue = issue_split(times, place)
        counts["multiply"] += issue.multiply
        counts["row_limit"] += issue.row_limit
        counts["stall"] += issue.stall
        drained = times.last_pop(place) + pipeline + 1
    drain = max(0, min(drained, run.cycles) - free)
    counts["drain"] += drain
    counts["idle"] += run.cycles - free - drain
    return CoreCounters(wiring.cores[place], **counts)


class IssueSplit(NamedTuple):
    """The cycles of one core from the first to the last issue of a pass; see the module."""

    multiply: int
    row_limit: int
    stall: int


def issue_split(times: Pass, place: int) -> IssueSplit:
    """Of the core at ``place`` in its block."""
    cycles = int(times.stopped[place]) + 1 - int(times.started[place])
    words, row_groups = int(times.words[place]), times.relative_pops.shape[1]
    limit = max(0, min(cycles, row_groups) - words)
    return IssueSplit(words, limit, cycles - words - limit)


def pipeline_cycles(run: Run, wiring: BlockWiring, place: int) -> int:
    """Cycles from a pop to the core's last register."""
    config = run.program.config
    stages = config.stages
    cycles = config.tree_levels * stages.tree_level + stages.chain_add + stages.output_register
    if place in (wiring.credit_core, len(wiring.cores) - 1):
        cycles += stages.requantize
    if wiring.recurrent and place == len(wiring.cores) - 1:
        cycles += stages.pointwise
    return cycles


def step_split(run: Run, direction: str = "forward") -> StepSplit:
    """Mean over the steps that follow one of the same utterance, at the slowest tail.

    Only for runs with one utterance at a time in the direction: with several in flight a step
    does not wait for the one before. Raises SimulationError for those, and if there is no step.
    """
    if any(len(lengths) > 1 for lengths in run.waves):
        raise SimulationError("a step is split for waves of one utterance; simulate those")
    rows = []
    for index in range(len(run.blocks)):
        rows += [
            _split(run, index, before, after, put_on)
            for (before, put_on), (after, _) in pairwise(_steps(run, index, direction))
            if not after.frame.first
        ]
    if not rows:
        raise SimulationError(f"no {direction} step follows another; simulate 2 frames or more")
    return StepSplit(*(float(value) for value in np.mean(rows, axis=0)))


def _steps(run: Run, block: int, direction: str) -> list[tuple[FramePass, int]]:
    """Recurrent passes of a block in one direction, each with the cycle of its last flit."""
    streams = {
        variant.direction: run.program.chains[variant.chain].output_stream
        for variant in run.blocks[block].variants
    }
    if not run.blocks[block].recurrent or streams.get(direction) is None:
        return []
    stream = streams[direction]
    flits = iter(run.flits[stream] if stream is not None else ())
    sharing = [e for e in run.passes[block] if streams[e.frame.direction] == stream]
    steps = [(entry, int(next(flits)[-1])) for entry in sharing]
    return [step for step in steps if step[0].frame.direction == direction]


def _split(
    run: Run, block: int, before: FramePass, after: FramePass, put_on: int
) -> tuple[int, ...]:
    """The parts of one step in the order of :class:`StepSplit`."""
    wiring, passes = run.blocks[block], run.passes[block]
    config = run.program.config
    tail = len(wiring.cores) - 1
    stopped = int(before.times.stopped[tail])
    popped = before.times.last_pop(tail)
    arithmetic = pipeline_cycles(run, wiring, tail)
    flit = config.stages.flit + config.stages.inject
    network = _feedback_hops(run, wiring) * config.stages.hop
    network += config.stages.eject + config.stages.staging_write
    slot = put_on - popped - arithmetic - flit
    next_started = int(after.times.started[tail])
    load = min(int(entry.times.started[tail] - entry.times.decided[tail]) for entry in passes)
    return (
        *issue_split(before.times, tail),
        popped - stopped,
        arithmetic,
        flit,
        slot,
        network,
        next_started - load - put_on - network,
        load - 1,
    )


def _feedback_hops(run: Run, wiring: BlockWiring) -> int:
    """Links from the tail, through the network, back to itself."""
    stream = run.program.chains[wiring.variants[0].chain].output_stream
    sinks = () if stream is None else run.program.streams[stream].sinks
    return next((sink.hops for sink in sinks if sink.core == wiring.cores[-1]), 0)


class Wires(NamedTuple):
    """Wires of one kind of one directed link: each kind takes a flit a cycle of its own (T8)."""

    kind: str  # "frames", "control" (credits, order) or "sums" (partial sums, gate inputs)
    start: Place
    stop: Place  # equal to ``start`` for the host's port
    to_host: bool = False  # of the host's port, which has a link in and a link out


def link_flits(run: Run) -> dict[Wires, int]:
    """Flits, or sums, that each kind of wires of each directed link carried."""
    pops: dict[tuple[str, int], int] = defaultdict(int)
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        for link in wiring.links:
            kind = "gate_inputs" if link.source == wiring.credit_core else "partial_sums"
            beats = sum(entry.times.relative_pops.shape[1] for entry in passes)
            pops[kind, wiring.cores[link.source]] += beats
    carried: dict[Wires, int] = defaultdict(int)
    for stream, flits in zip(run.program.streams, run.flits, strict=True):
        beats = sum(put_on.size for put_on in flits)
        beats += pops.pop((stream.kind, stream.source), 0)  # the first of two for both directions
        for step in stream.links:
            wires = Wires(wires_of(stream.kind), step.start, step.stop, stream.to_host(step))
            carried[wires] += beats
    return dict(carried)


def link_utilisation(run: Run) -> dict[Wires, float]:
    """The same as a share of the cycles of the run."""
    return {wires: flits / run.cycles for wires, flits in link_flits(run).items()}
