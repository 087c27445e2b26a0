"""A run of an accelerator program, given as the lengths of its utterances (T11, T13, T14).

Axes: R row lanes, Q windows, N row groups of a task; C cores of a block, F flits of a frame. All
times are cycles; cycle 0 is the first of the host's slot wheel. ``timing.md`` states the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sparsespeech.compiler.program import Program
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Pass, Times
from sparsespeech.simulator.fabric import Fabric, RowEnds
from sparsespeech.simulator.linear import LinearLayers
from sparsespeech.simulator.recurrent import Flow
from sparsespeech.simulator.sequence import Frame, FrameOrder, SequenceMemory
from sparsespeech.simulator.wiring import BlockWiring, sequences_of


@dataclass(frozen=True)
class FramePass:
    """One frame through one block; the arrays of ``times`` follow the cores of the block."""

    frame: Frame
    times: Pass


@dataclass(frozen=True)
class FrameOutput:
    """The arrival at the host of the last activation that a chain made of a frame."""

    frame: Frame
    chain: int
    arrival: int


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that happened, in cycles."""

    program: Program
    waves: tuple[tuple[int, ...], ...]  # frames of the utterances in flight together
    blocks: tuple[BlockWiring, ...]
    passes: tuple[tuple[FramePass, ...], ...]  # a block
    flits: tuple[tuple[Times, ...], ...]  # a stream: when the flits of each frame are put on
    outputs: tuple[FrameOutput, ...]
    host_frames: tuple[tuple[Frame, int], ...]  # and the cycle of their first flit
    latencies: tuple[tuple[int, ...], ...]  # an utterance of a wave

    @property
    def cycles(self) -> int:
        """To the arrival of the last activation at the host."""
        return max(output.arrival for output in self.outputs)

    @property
    def frame_latencies(self) -> dict[tuple[int, int, int], int]:
        """For (wave, utterance, index): from its first flit to the last activation made of it."""
        starts: dict[tuple[int, int, int], int] = {}
        ends: dict[tuple[int, int, int], int] = {}
        for frame, cycle in self.host_frames:
            key = (frame.wave, frame.utterance, frame.index)
            starts[key] = min(starts.get(key, cycle), cycle)
        for output in self.outputs:
            key = (output.frame.wave, output.frame.utterance, output.frame.index)
            ends[key] = max(ends.get(key, 0), output.arrival)
        return {key: ends[key] - start for key, start in starts.items()}


def simulate(
    program: Program,
    row_ends: Sequence[RowEnds],
    waves: Sequence[Sequence[int]],
) -> Run:
    """Run ``waves`` of utterances, given as their numbers of frames.

    ``row_ends``: a task, [R, Q, N]: the word of the stream, counted from 0, in which the row group
    ends. Utterances of a wave are in flight together, waves follow each other without a pause.
    Raises SimulationError for a wave that does not fit or a program whose streams do not connect.
    """
    fabric = Fabric(program, row_ends)
    order = FrameOrder(waves, program.config.contexts)
    memories = [SequenceMemory(program.config, entry, order) for entry in sequences_of(program)]
    linear = LinearLayers(fabric, order.arriving(), memories)
    served = memories[0].sequence.directions if memories else ()
    flows = [Flow(fabric, linear, order, memories, entry) for entry in served]
    for wave in range(order.waves):
        linear.reach(order.last_number(wave))
        for flow in flows:
            flow.finish(wave)
    outputs = tuple(FrameOutput(*entry) for entry in fabric.record.outputs)
    if not outputs:
        raise SimulationError(
            "no stream of results reaches the host, so the run has no end; compile the program "
            "again"
        )
    return Run(
        program,
        tuple(tuple(lengths) for lengths in waves),
        fabric.wirings,
        tuple(tuple(FramePass(*entry) for entry in block) for block in fabric.record.passes),
        tuple(tuple(stream) for stream in fabric.record.flits),
        outputs,
        tuple(fabric.record.host_frames),
        _latencies(waves, fabric.record.host_frames, outputs),
    )


def _latencies(
    waves: Sequence[Sequence[int]],
    host_frames: list[tuple[Frame, int]],
    outputs: tuple[FrameOutput, ...],
) -> tuple[tuple[int, ...], ...]:
    """From the first flit of an utterance's first frame to its last activation at the host."""
    starts: dict[tuple[int, int], int] = {}
    ends: dict[tuple[int, int], int] = {}
    for frame, start in host_frames:
        key = (frame.wave, frame.utterance)
        starts[key] = min(starts.get(key, start), start)
    for output in outputs:
        key = (output.frame.wave, output.frame.utterance)
        ends[key] = max(ends.get(key, 0), output.arrival)
    return tuple(
        tuple(ends[wave, utterance] - starts[wave, utterance] for utterance in range(len(lengths)))
        for wave, lengths in enumerate(waves)
    )
