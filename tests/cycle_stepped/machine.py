"""The accelerator stepped cycle by cycle, from ``simulator/timing.md``: the simulator's oracle.

State machines with counters, FIFOs, banks, slot tables and delay lines, as the hardware would have
them, a kind in each file beside this one. It shares no code with ``sparsespeech.simulator``, is
slow, and checks on its way what the rules promise: nothing is read before it is written, no FIFO,
buffer or queue overflows, sums meet in time.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from sparsespeech.compiler.program import HOST, Chain, Program, Sequence
from sparsespeech.compiler.word_format import decode_words
from tests.cycle_stepped.clock import Clock, Log
from tests.cycle_stepped.core import Core
from tests.cycle_stepped.credits import FrameCredits
from tests.cycle_stepped.frame_order import frames_of_host
from tests.cycle_stepped.sequence import SequenceMemory, directions_of
from tests.cycle_stepped.staging import Staging
from tests.cycle_stepped.tail import Tail
from tests.cycle_stepped.wires import Flit, NeighbourWire, Port

Memories = list[list[list[int]]]  # [task][stream][word]: rows that end in it


def memories_of_ends(row_ends: list[np.ndarray]) -> Memories:
    """Words of hand-made tasks; ``row_ends`` [R, Q, N]: in which word each row group ends."""
    return [
        [np.bincount(stream).tolist() for stream in ends.reshape(-1, ends.shape[2])]
        for ends in row_ends
    ]


def memories_of_images(program: Program) -> Memories:
    """The same of the memory images of a compiled program."""
    memories = []
    for task in program.tasks:
        image = decode_words(program.words[task.core], program.config).ends
        lanes = zip(image, task.word_start, task.word_count, strict=True)
        memories.append(
            [
                words[start : start + count].tolist()
                for lane in lanes
                for words, start, count in zip(*lane, strict=True)
            ]
        )
    return memories


class Machine:
    """All cores, wires, ports and memories of a program."""

    def __init__(self, program: Program, memories: Memories, waves: list[list[int]]) -> None:
        self.program = program
        self.config = program.config
        self.clock = Clock()
        self.log = Log()
        self.host_frames = frames_of_host(waves)
        self.ports = [
            Port(self.config, self.clock, self.log, index, stream, self.arrive)
            for index, stream in enumerate(program.streams)
        ]
        self.credits = [
            FrameCredits(self._consumers(stream), self.config.staging_frames)
            for stream in range(len(program.streams))
        ]
        entries = program.sequences or self._host_sequences()
        self.sequences = [
            SequenceMemory(
                self.config,
                self.clock,
                entry,
                self.ports,
                self.credits,
                first=index == 0,
                others=len(entries) > 1,
            )
            for index, entry in enumerate(entries)
        ]
        self.cores = self._cores(memories)
        self._neighbours()
        self._tails()
        self._host()

    # ---- building
    def _host_sequences(self) -> tuple[Sequence, ...]:
        """What feeds an LSTM without linear layers before it."""
        listening: dict[int, list[str]] = defaultdict(list)
        for chain in self.program.chains:
            if chain.role == "gate_input":
                for segment in self.program.tasks[chain.tasks[0]].segments:
                    listening[segment.stream].append(chain.direction)
        if not listening:
            return ()
        served = ["both" if len(set(found)) == 2 else found[0] for found in listening.values()]
        return (Sequence(HOST, tuple(listening), tuple(served), 0),)

    def _consumers(self, stream: int) -> set[int]:
        """Cores of the tails that send credits for frames of this stream."""
        return {
            self.tail_core(chain)
            for chain in self.program.chains
            if chain.role != "recurrent"
            for task in chain.tasks
            if any(segment.stream == stream for segment in self.program.tasks[task].segments)
        }

    def tail_core(self, chain: Chain) -> int:
        """The last core of a chain."""
        return self.program.tasks[chain.tasks[-1]].core

    def _cores(self, memories: Memories) -> dict[int, Core]:
        numbers: dict[int, list[int]] = defaultdict(list)
        for number, task in enumerate(self.program.tasks):
            numbers[task.core].append(number)
        cores = {}
        for core, tasks in numbers.items():
            stored = {}
            for number in tasks:
                task = self.program.tasks[number]
                chain = self.program.chains[task.chain]
                stored[chain.direction] = (number, task, chain.row_groups, memories[number])
            recurrent = chain.role == "recurrent"
            staging = Staging(self.config, self.clock, recurrent=recurrent)
            stream = task.segments[0].stream if task.segments else -1
            staging.listens_to = self._head_stream(core, chain.direction) if recurrent else stream
            cores[core] = Core(self.config, self.clock, self.log, staging, stored)
        return cores

    def _head_stream(self, core: int, direction: str) -> int:
        for memory in self.sequences:
            sequence = memory.sequence
            for stream, served in zip(sequence.streams, sequence.directions, strict=True):
                reached = {sink.core for sink in self.program.streams[stream].sinks}
                if direction in directions_of(served) and core in reached:
                    return stream
        raise AssertionError("no heads")

    def _neighbours(self) -> None:
        stages = self.config.stages
        levels = (self.config.windows.bit_length() - 1) * stages.tree_level
        chain = stages.chain_add + stages.output_register
        gates = levels + chain + stages.requantize
        made = set()
        for stream in self.program.streams:
            if stream.kind not in ("partial_sums", "gate_inputs"):
                continue
            sums = stream.kind == "partial_sums"
            for sink in stream.sinks:
                if (stream.source, sink.core) in made:
                    continue  # the other direction on the same cores
                made.add((stream.source, sink.core))
                wire = NeighbourWire(
                    self.config,
                    self.clock,
                    sink.hops,
                    announce=chain if sums else 0,
                    leave=levels + chain if sums else gates,
                    read=levels if sums else gates,
                )
                self.cores[stream.source].outputs.append(wire)
                self.cores[sink.core].inputs.append(wire)

    def _tails(self) -> None:
        memories = {entry.sequence.chain: entry for entry in self.sequences}
        for number, chain in enumerate(self.program.chains):
            core = self.tail_core(chain)
            if self.cores[core].tail is None:
                memory = memories.get(number)
                self.cores[core].tail = Tail(
                    self.program, self.clock, core, self.ports, self.credits, memory
                )

    def _host(self) -> None:
        in_sequences = {stream for entry in self.sequences for stream in entry.sequence.streams}
        for entry in self.sequences:
            if entry.sequence.chain == HOST:
                for head in self.host_frames:
                    entry.write(head)
        for port, credits in zip(self.ports, self.credits, strict=True):
            stream = port.stream
            if stream.source != HOST or stream.kind != "activations":
                continue
            if port.index in in_sequences:
                continue
            for head in self.host_frames:
                port.queue.extend(port.frame(head))
            port.may_put = lambda flit, credits=credits: flit.place > 0 or credits.all_there
            port.on_put.append(lambda flit, c=credits: None if flit.place else c.use())

    # ---- running
    def arrive(self, stream: int, core: int, flit: Flit) -> None:
        """A flit reaches a sink."""
        kind = self.program.streams[stream].kind
        if kind == "credits":
            for fed, credits in zip(self.program.streams, self.credits, strict=True):
                if fed.source == core:
                    credits.give(flit.head)
        elif kind == "order":
            for entry in self.sequences:
                chain = entry.sequence.chain
                if chain != HOST and self.tail_core(self.program.chains[chain]) == core:
                    entry.take_order(flit.head)
        elif core == HOST:
            if flit.last:
                self.log.outputs[stream, flit.head] = self.clock.now
        else:
            self.cores[core].staging.arrive(stream, flit)

    def run(self, outputs: int, limit: int) -> Log:
        """Step until so many frames of results have arrived."""
        while len(self.log.outputs) < outputs:
            assert self.clock.now < limit, "the machine does not come to an end"
            self.clock.deliver()
            for port in self.ports:
                port.step()
            for sequence in self.sequences:
                sequence.step()
            for core in self.cores.values():
                core.step_load()
                core.step_fetch()
                core.step_issue()
                core.step_pop()
            self.clock.now += 1
        return self.log
