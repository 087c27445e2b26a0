"""The parts of the machine that all its layers use: blocks, circuits and the credits of frames.

Axes: C cores of a block, F flits of a frame. All times are cycles.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.program import HOST, Program
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Block, Pass, Times
from sparsespeech.simulator.network import Circuit, flit_row_groups
from sparsespeech.simulator.sequence import Frame
from sparsespeech.simulator.wiring import (
    BlockWiring,
    Part,
    Variant,
    block_wirings,
    consumers,
    credit_stream,
)

RowEnds = NDArray[np.int32] | NDArray[np.int64]


@dataclass
class Record:
    """What happened in a run, in order."""

    passes: list[list[tuple[Frame, Pass]]]  # a block
    flits: list[list[Times]]  # a stream: when the flits of each frame were put on
    outputs: list[tuple[Frame, int, int]] = field(default_factory=list)  # frame, chain, arrival
    host_frames: list[tuple[Frame, int]] = field(default_factory=list)  # and their first flit


class Fabric:
    """Blocks and circuits of a program at the beginning of a run."""

    def __init__(self, program: Program, row_ends: Items[RowEnds]) -> None:
        """``row_ends``: a task, [R, Q, N], word of the stream in which a row group ends."""
        self.program = program
        self.config = program.config
        self.wirings = block_wirings(program)
        self.circuits = [Circuit(program.config, stream) for stream in program.streams]
        self.blocks = [_block(program, wiring, row_ends) for wiring in self.wirings]
        self.record = Record([[] for _ in self.blocks], [[] for _ in self.circuits])
        self._flit_rows = [
            flit_row_groups(
                chain.tail.rows, chain.role == "recurrent", program.config.flit_activations
            )
            for chain in program.chains
        ]
        self._sent: list[list[int]] = [[] for _ in self.blocks]  # last flits of results
        self._credits: list[list[int]] = [[] for _ in self.blocks]
        self._credit_circuits = [self._credit_circuit(wiring) for wiring in self.wirings]
        self._consumers = [
            consumers(program, self.wirings, stream) for stream in range(len(program.streams))
        ]

    def _credit_circuit(self, wiring: BlockWiring) -> int | None:
        stream = credit_stream(self.program, wiring.cores[wiring.credit_core])
        return None if stream is None else self.program.streams.index(stream)

    @property
    def tree(self) -> int:
        """Cycles from a pop to the output register."""
        stages = self.config.stages
        tree = self.config.tree_levels * stages.tree_level
        return tree + stages.chain_add + stages.output_register

    def advance(self, block: int, variant: int, complete: Times, frame: Frame) -> Pass:
        """The pass of ``frame``, and the credit that its last pop sends (T11)."""
        complete[-1] = max(complete[-1], self._output_room(block))
        step = self.blocks[block].advance(variant, complete)
        self.record.passes[block].append((frame, step))
        circuit = self._credit_circuits[block]
        if circuit is not None:
            pop = step.last_pop(self.wirings[block].credit_core)
            put_on = self.put_on(circuit, np.array([pop + self.config.stages.credit]))
            self._credits[block].append(int(put_on[0]))
        return step

    def _output_room(self, block: int) -> int:
        """From when on the tail has room for the flits of its next frame (T9)."""
        frames = self.config.staging_frames
        if self.wirings[block].recurrent:
            frames = self.config.contexts * len(self.wirings[block].variants)
        sent = self._sent[block]
        return sent[-frames] + self.config.stages.credit if len(sent) >= frames else 0

    def put_on(self, stream: int, ready: Times) -> Times:
        """Flits of one frame on a stream; the cycles, [F]."""
        put_on = self.circuits[stream].put_on(ready)
        self.record.flits[stream].append(put_on)
        return put_on

    def credits(self, stream: int, count: int, source: int) -> int:
        """When the source of ``stream`` holds all credits that its frame ``count`` needs."""
        needed = count - self.config.staging_frames
        arrivals = [0]
        for block in self._consumers[stream]:
            circuit = self._credit_circuits[block]
            if circuit is None:
                core = self.wirings[block].cores[self.wirings[block].credit_core]
                raise SimulationError(
                    f"core {core} takes frames of stream {self.program.streams[stream].name} and "
                    "has no credits stream; compile the program again"
                )
            if needed >= 0:
                arrivals.append(self._credits[block][needed] + self.circuits[circuit].delay(source))
        return max(arrivals)

    def complete(self, parts: tuple[Part, ...], put_on: dict[int, Times], core: int) -> int:
        """When all parts of a frame lie in the staging of ``core`` (T10).

        Raises SimulationError for a part whose stream carries no such frame (yet).
        """
        missing = [part.stream for part in parts if part.stream not in put_on]
        if missing:
            name = self.program.streams[missing[0]].name
            raise SimulationError(
                f"core {core} waits for stream {name}, on which no frame has been sent before; "
                "chains must stand behind those that feed them: compile the program again"
            )
        return self.config.stages.staging_write + max(
            int(put_on[part.stream][part.last_flit]) + self.circuits[part.stream].delay(core)
            for part in parts
        )

    def put_results_on(
        self, block: int, variant: Variant, step: Pass, frame: Frame
    ) -> Times | None:
        """Send what the tail of a chain made of ``frame`` (T9); None if it goes to a sequence."""
        chain = self.program.chains[variant.chain]
        if chain.output_stream is None:
            return None
        stages = self.config.stages
        delay = self.tree + stages.requantize + stages.flit + stages.inject
        if chain.role == "recurrent":
            delay += stages.pointwise
        pops = step.relative_pops[-1, self._flit_rows[variant.chain]] + np.int64(step.base + delay)
        put_on = self.put_on(chain.output_stream, pops)
        self._sent[block].append(int(put_on[-1]))
        sinks = self.program.streams[chain.output_stream].sinks
        if any(sink.core == HOST for sink in sinks):
            arrival = int(put_on[-1]) + self.circuits[chain.output_stream].delay(HOST)
            self.record.outputs.append((frame, variant.chain, arrival))
        return put_on


def _block(program: Program, wiring: BlockWiring, row_ends: Items[RowEnds]) -> Block:
    ends = []
    loads = []
    for variant in wiring.variants:
        counts = {row_ends[task].shape[2] for task in variant.tasks}
        if counts != {program.chains[variant.chain].row_groups}:
            raise SimulationError(
                f"chain {program.chains[variant.chain].name}: its tasks and gate inputs have "
                f"{sorted(counts)} row groups, expected "
                f"{program.chains[variant.chain].row_groups}; compile the program again"
            )
        streams = [row_ends[task].reshape(-1, row_ends[task].shape[2]).T for task in variant.tasks]
        ends.append(np.ascontiguousarray(np.stack(streams, axis=1), dtype=np.int32))
        loads.append([_load_cycles(program, task) for task in variant.tasks])
    return Block(program.config, wiring.links, tuple(ends), np.array(loads, dtype=np.int64))


def _load_cycles(program: Program, task: int) -> int:
    start, stop = program.tasks[task].columns
    return program.config.load_cycles(stop - start)
