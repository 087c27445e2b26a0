"""The accelerator stepped cycle by cycle, from ``simulator/timing.md``: the simulator's oracle.

State machines with counters, FIFOs, banks, slot tables and delay lines, as the hardware would have
them. It shares no code with ``sparsespeech.simulator``, is slow, and checks on its way what the
rules promise: nothing is read before it is written, no FIFO overflows, sums meet in time.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sparsespeech.compiler.program import HOST, Program, Sequence


class Head(NamedTuple):
    """What the first flit of a frame says."""

    wave: int
    utterance: int
    index: int
    direction: str
    first: bool
    last: bool


@dataclass
class Flit:
    """One flit: its frame, its place in it."""

    head: Any
    place: int
    last: bool


class Clock:
    """Delay lines: what is scheduled comes out at the beginning of a later cycle."""

    def __init__(self) -> None:
        self.now = 0
        self._due: dict[int, list[Callable[[], None]]] = defaultdict(list)

    def after(self, cycles: int, action: Callable[[], None]) -> None:
        assert cycles >= 1, "a delay line has at least one register"
        self._due[self.now + cycles].append(action)

    def deliver(self) -> None:
        for action in self._due.pop(self.now, []):
            action()


class Log:
    """What is compared."""

    def __init__(self) -> None:
        self.pops: dict[tuple[int, Any], list[int]] = defaultdict(list)  # task, frame
        self.loads: dict[tuple[int, Any], int] = {}
        self.starts: dict[tuple[int, Any], int] = {}
        self.stops: dict[tuple[int, Any], int] = {}
        self.flits: dict[int, list[int]] = defaultdict(list)  # stream
        self.outputs: dict[tuple[int, Any], int] = {}  # stream, frame


class Port:
    """A stream's queue of flits and its slots of the wheel."""

    def __init__(self, machine: Machine, index: int) -> None:
        self.machine = machine
        self.index = index
        self.stream = machine.program.streams[index]
        self.queue: deque[Flit] = deque()
        self.on_put: list[Callable[[Flit], None]] = []
        self.may_put: Callable[[Flit], bool] = lambda flit: True

    def step(self) -> None:
        clock = self.machine.clock
        if clock.now % self.machine.config.slots not in self.stream.slots or not self.queue:
            return
        if not self.may_put(self.queue[0]):
            return
        flit = self.queue.popleft()
        self.machine.log.flits[self.index].append(clock.now)
        stages = self.machine.config.stages
        for sink in self.stream.sinks:
            delay = sink.hops * stages.hop + stages.eject
            clock.after(delay, lambda core=sink.core: self.machine.arrive(self.index, core, flit))
        for listener in self.on_put:
            listener(flit)


class NeighbourWire:
    """Announcements one way, credits the other, and the sums that follow the announcements."""

    def __init__(self, machine: Machine, hops: int, announce: int, leave: int, read: int) -> None:
        stages = machine.config.stages
        self.clock = machine.clock
        self.places = machine.config.chain_fifo
        self.credits = machine.config.chain_fifo
        self.announced = 0
        self.waiting = 0  # sums in the FIFO
        self.link = stages.inject + hops * stages.hop + stages.eject
        self.announce = announce
        self.leave = leave
        self.read = read
        self.back = hops * stages.hop + stages.credit

    def source_pops(self) -> None:
        self.credits -= 1
        self.clock.after(self.link + self.announce, self._announce)
        self.clock.after(self.leave + self.link, self._write)

    def sink_pops(self) -> None:
        self.announced -= 1
        self.clock.after(self.back, self._credit)
        self.clock.after(self.read + 1, self._read)  # read at the end of cycle P + read

    def _announce(self) -> None:
        self.announced += 1

    def _write(self) -> None:
        self.waiting += 1

    def _read(self) -> None:
        self.waiting -= 1
        assert 0 <= self.waiting <= self.places

    def _credit(self) -> None:
        self.credits += 1


class Core:
    """One core: staging, load, issue, FIFOs, pop."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.machine = machine
        self.number = number
        self.config = machine.config
        self.clock = machine.clock
        self.staged: dict[tuple[int, Any], int] = defaultdict(int)  # stream, frame: flits
        self.heads: dict[int, list[Any]] = defaultdict(list)  # a stream: frames in order
        self.tasks: dict[str, int] = {}  # direction: task
        self.inputs: list[NeighbourWire] = []
        self.outputs: list[NeighbourWire] = []
        self.taken = 0  # frames loaded
        self.free_banks = 2 if self.config.double_buffered else 1
        self.port_busy = 0
        self.loaded: deque[list[Any]] = deque()  # [frame, task, ready at cycle, last write]
        self.issuing: list[Any] | None = None
        streams = self.config.row_lanes * self.config.windows
        self.room = [self.config.window_fifo] * streams
        self.fifo = [0] * streams
        self.word = [0] * streams
        self.row = [0] * streams
        self.popping: deque[tuple[Any, int]] = deque()  # frames whose row groups are coming
        self.popped = 0
        self.may_load: Callable[[Any], bool] = lambda frame: True
        self.on_load: Callable[[Any], None] = lambda frame: None
        self.on_pop: Callable[[Any, int, int], None] = lambda frame, task, row: None

    # ---- staging and load
    def stage(self, stream: int, flit: Flit) -> None:
        def write() -> None:
            self.staged[stream, flit.head] += 1
            if flit.place == 0:
                self.heads[stream].append(flit.head)

        self.clock.after(self.config.stages.staging_write, write)

    def _next_frame(self) -> Any:
        """The frame to load, if it lies complete in staging."""
        machine = self.machine
        any_task = next(iter(self.tasks.values()))
        recurrent = machine.role(any_task) == "recurrent"
        if recurrent:
            heads = self.heads[machine.head_streams[self.number]]
        else:
            heads = self.heads[machine.program.tasks[any_task].segments[0].stream]
        if self.taken >= len(heads):
            return None
        frame = heads[self.taken]
        task = self.tasks[frame.direction]
        wanted = frame
        if recurrent:
            if frame.first:
                return frame
            wanted = machine.step_before(frame)
        for segment in machine.program.tasks[task].segments:
            flits = (segment.first + segment.count - 1) // self.config.flit_activations + 1
            if self.staged[segment.stream, wanted] < flits:
                return None
        return frame

    def step_load(self) -> None:
        stages = self.config.stages
        if self.port_busy:
            self.port_busy -= 1
        if self.port_busy or not self.free_banks:
            return
        frame = self._next_frame()
        if frame is None or not self.may_load(frame):
            return
        task = self.tasks[frame.direction]
        start, stop = self.machine.program.tasks[task].columns
        cycles = -(-(stop - start) // (self.config.windows * self.config.load_word_bytes))
        self.on_load(frame)
        self.machine.log.loads[task, frame] = self.clock.now
        self.taken += 1
        self.free_banks -= 1
        self.port_busy = cycles
        last_write = self.clock.now + stages.staging_read + cycles - 1
        ready = max(self.clock.now + 1, last_write + 1 - stages.fetch)
        self.loaded.append([frame, task, ready, last_write])
        if not self.config.double_buffered:
            assert self.clock.now + stages.staging_read > self.last_read

    last_read = -1

    # ---- issue
    def step_issue(self) -> None:
        if self.issuing is None:
            if not self.loaded or self.loaded[0][2] > self.clock.now:
                return
            self.issuing = self.loaded.popleft()
            frame, task = self.issuing[:2]
            self.machine.log.starts[task, frame] = self.clock.now
            self.word = [0] * len(self.word)
            self.row = [0] * len(self.row)
            self.popping.append((frame, task))
        frame, task, _, last_write = self.issuing
        ends = self.machine.row_ends[task]
        for stream, rows in enumerate(ends):
            if self.row[stream] == len(rows):
                continue
            ending = rows.count(self.word[stream])  # 0 to 2 row groups
            left = sum(
                row >= self.row[stream]
                for row in range(len(rows))
                if rows[row] == self.word[stream]
            )
            issued = min(left, self.room[stream])
            if ending and not issued:
                continue
            self.last_read = self.clock.now + self.config.stages.fetch
            assert self.last_read > last_write, "a word reads what is not written yet"
            if issued == left:
                self.word[stream] += 1
            for _ in range(issued):
                self.row[stream] += 1
                self.room[stream] -= 1
                self.clock.after(self.config.stages.window, lambda s=stream: self._sum(s))
        if all(self.row[s] == len(rows) for s, rows in enumerate(ends)):
            self.machine.log.stops[task, frame] = self.clock.now
            self.issuing = None
            stages = self.config.stages
            self.clock.after(max(1, stages.fetch + 1 - stages.staging_read), self._free_bank)

    def _free_bank(self) -> None:
        self.free_banks += 1

    def _sum(self, stream: int) -> None:
        self.fifo[stream] += 1
        assert self.fifo[stream] <= self.config.window_fifo

    # ---- pop
    def step_pop(self) -> None:
        if not all(self.fifo):
            return
        if not all(wire.announced for wire in self.inputs):
            return
        if not all(wire.credits for wire in self.outputs):
            return
        for stream in range(len(self.fifo)):
            self.fifo[stream] -= 1
        self.clock.after(self.config.stages.credit, self._room)
        for wire in self.inputs:
            wire.sink_pops()
        for wire in self.outputs:
            wire.source_pops()
        frame, task = self.popping[0]
        self.machine.log.pops[task, frame].append(self.clock.now)
        self.on_pop(frame, task, self.popped)
        self.popped += 1
        if self.popped == len(self.machine.row_ends[task][0]):
            self.popped = 0
            self.popping.popleft()

    def _room(self) -> None:
        self.room = [places + 1 for places in self.room]


class SequenceMachine:
    """A memory of frames and the streams that send them."""

    def __init__(self, machine: Machine, index: int) -> None:
        self.machine = machine
        self.sequence = machine.memories[index]
        self.there = 0  # frames written
        self.free = self.sequence.frames
        self.orders: deque[str] = deque()
        self.first = index == 0
        self.sent = {"forward": 0, "backward": 0}
        self.sending: dict[int, bool] = dict.fromkeys(self.sequence.streams, False)
        self.served_last = "backward"
        self.left: dict[int, int] = defaultdict(int)
        for stream in self.sequence.streams:
            machine.ports[stream].on_put.append(lambda flit, stream=stream: self._put(stream, flit))

    def _put(self, stream: int, flit: Flit) -> None:
        if not flit.last:
            return
        self.sending[stream] = False
        head = flit.head
        wave = self.machine.wave_frames[head.wave]
        closing = wave[-1] if head.direction == "forward" else wave[0]
        if (head.utterance, head.index) != (closing.utterance, closing.index):
            return
        self.left[head.wave] += 1
        directions = {d for s in self.sequence.directions for d in self.machine.directions_of(s)}
        if self.left[head.wave] == len(directions):
            self.machine.clock.after(
                self.machine.config.stages.credit, lambda: self._release(len(wave))
            )

    def _release(self, places: int) -> None:
        self.free += places

    def _candidate(self, direction: str) -> Head | None:
        """The frame that this direction would send now."""
        order = self.machine.sending_order[direction]
        if self.sent[direction] == len(order):
            return None
        head, needed = order[self.sent[direction]]
        return head if self.there >= needed else None

    def step(self) -> None:
        for stream, served in zip(self.sequence.streams, self.sequence.directions, strict=True):
            if self.sending[stream]:
                continue
            if served == "both" and not self.first:
                if self.orders and self._candidate(self.orders[0]) is not None:
                    self._send(stream, self._candidate(self.orders.popleft()))
                continue
            if not self.machine.has_credits(stream):
                continue
            ready = [d for d in self.machine.directions_of(served) if self._candidate(d)]
            if not ready:
                continue
            if served == "both" and len(ready) == 2:
                ready.remove(self.served_last)
            head = self._candidate(ready[0])
            self.machine.use_credits(stream)
            self.served_last = ready[0]
            self._send(stream, head)
            if served == "both" and len(self.machine.memories) > 1:
                port = self.machine.ports[self.sequence.order_stream]
                self.machine.clock.after(
                    self.machine.config.stages.credit,
                    lambda d=head.direction, p=port: p.queue.append(Flit(d, 0, True)),
                )

    def _send(self, stream: int, head: Any) -> None:
        self.sent[head.direction] += 1
        self.sending[stream] = True
        port = self.machine.ports[stream]
        flits = self.machine.frame_flits(stream)

        def fetch() -> None:
            for place in range(flits):
                port.queue.append(Flit(head, place, place == flits - 1))

        stages = self.machine.config.stages
        self.machine.clock.after(stages.staging_read + stages.inject, fetch)


class Machine:
    """All cores, wires, ports and memories of a program."""

    def __init__(
        self, program: Program, row_ends: list[np.ndarray], waves: list[list[int]]
    ) -> None:
        self.program = program
        self.config = program.config
        self.clock = Clock()
        self.log = Log()
        self.row_ends = [
            ends.reshape(-1, ends.shape[2]).tolist() for ends in row_ends
        ]  # [stream][row group]
        self.memories = program.sequences or self._host_memory()
        self._order(waves)
        self.ports = [Port(self, index) for index in range(len(program.streams))]
        self.cores = {task.core: Core(self, task.core) for task in program.tasks}
        for number, task in enumerate(program.tasks):
            self.cores[task.core].tasks[program.chains[task.chain].direction] = number
        self.head_streams = {
            core: self._head_stream(core)
            for core, entry in self.cores.items()
            if self.role(next(iter(entry.tasks.values()))) == "recurrent"
        }
        self.frame_credits = {
            stream: dict.fromkeys(self._consumers(stream), self.config.staging_frames)
            for stream in range(len(program.streams))
        }
        self.sequences = [SequenceMachine(self, index) for index in range(len(self.memories))]
        self._wires()
        self._tails()
        self._host()

    # ---- what follows from the program
    def role(self, task: int) -> str:
        return self.program.chains[self.program.tasks[task].chain].role

    def directions_of(self, served: str) -> list[str]:
        return ["forward", "backward"] if served == "both" else [served]

    def frame_flits(self, stream: int) -> int:
        return -(-self.program.streams[stream].frame // self.config.flit_activations)

    def _host_memory(self) -> tuple[Sequence, ...]:
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

    def _order(self, waves: list[list[int]]) -> None:
        self.wave_frames: list[list[Head]] = []
        for wave, lengths in enumerate(waves):
            frames = []
            for index in range(max(lengths)):
                for utterance, length in enumerate(lengths):
                    if index < length:
                        frames.append(
                            Head(wave, utterance, index, "", index == 0, index == length - 1)
                        )
            self.wave_frames.append(frames)
        self.arriving = [frame for frames in self.wave_frames for frame in frames]
        self.sending_order: dict[str, list[tuple[Head, int]]] = {"forward": [], "backward": []}
        before = 0
        for frames in self.wave_frames:
            for number, f in enumerate(frames):
                self.sending_order["forward"].append(
                    (f._replace(direction="forward"), before + number + 1)
                )
            before += len(frames)
            for f in reversed(frames):
                turned = f._replace(direction="backward", first=f.last, last=f.first)
                self.sending_order["backward"].append((turned, before))

    def step_before(self, head: Head) -> Head:
        """The step of the same utterance and direction before this one."""
        index = head.index - 1 if head.direction == "forward" else head.index + 1
        steps = self.sending_order[head.direction]
        return next(
            h
            for h, _ in steps
            if (h.wave, h.utterance, h.index) == (head.wave, head.utterance, index)
        )

    def _head_stream(self, core: int) -> int:
        direction = next(iter(self.cores[core].tasks))
        for sequence in self.memories:
            for stream, served in zip(sequence.streams, sequence.directions, strict=True):
                reached = {sink.core for sink in self.program.streams[stream].sinks}
                if direction in self.directions_of(served) and core in reached:
                    return stream
        raise AssertionError("no heads")

    def _consumers(self, stream: int) -> set[int]:
        """Cores of the tails that send credits for frames of this stream."""
        return {
            self.program.tasks[chain.tasks[-1]].core
            for chain in self.program.chains
            if chain.role != "recurrent"
            for task in chain.tasks
            if any(segment.stream == stream for segment in self.program.tasks[task].segments)
        }

    def has_credits(self, stream: int) -> bool:
        return all(self.frame_credits[stream].values())

    def use_credits(self, stream: int) -> None:
        for core in self.frame_credits[stream]:
            self.frame_credits[stream][core] -= 1

    def _wires(self) -> None:
        config, stages = self.config, self.config.stages
        levels = (config.windows.bit_length() - 1) * stages.tree_level
        tree = levels + stages.chain_add + stages.output_register
        made = set()
        for stream in self.program.streams:
            if stream.kind not in ("partial_sums", "gate_inputs"):
                continue
            for sink in stream.sinks:
                if (stream.source, sink.core) in made:
                    continue  # the other direction on the same cores
                made.add((stream.source, sink.core))
                if stream.kind == "partial_sums":
                    extra = stages.chain_add + stages.output_register
                    wire = NeighbourWire(self, sink.hops, extra, tree, levels)
                else:
                    delay = tree + stages.requantize
                    wire = NeighbourWire(self, sink.hops, 0, delay, delay)
                self.cores[stream.source].outputs.append(wire)
                self.cores[sink.core].inputs.append(wire)

    def _tails(self) -> None:
        memories = {entry.sequence.chain: entry for entry in self.sequences}
        tails: dict[int, list[int]] = defaultdict(list)
        for index, chain in enumerate(self.program.chains):
            tails[self.program.tasks[chain.tasks[-1]].core].append(index)
        for core, chains in tails.items():
            by_task = {self.program.chains[c].tasks[-1]: c for c in chains}
            first = self.program.chains[chains[0]]
            if first.role != "gate_input":
                self._hold_back(core, chains, memories.get(chains[0]))
            self.cores[core].on_pop = self._results(core, by_task, memories)

    def _hold_back(self, core: int, chains: list[int], memory: SequenceMachine | None) -> None:
        first = self.program.chains[chains[0]]
        outputs = {self.program.chains[c].output_stream for c in chains} - {None}
        linear = first.role == "linear"
        room = [self.config.staging_frames if linear else self.config.contexts * len(chains)]

        def may_load(frame: Any) -> bool:
            if memory is not None and not memory.free:
                return False
            if linear and not all(self.has_credits(output) for output in outputs):
                return False
            return not outputs or room[0] > 0

        def on_load(frame: Any) -> None:
            if memory is not None:
                memory.free -= 1
            room[0] -= 1
            if linear:
                for output in outputs:
                    self.use_credits(output)

        def leave() -> None:
            room[0] += 1

        def on_put(flit: Flit) -> None:
            if flit.last:
                self.clock.after(self.config.stages.credit, leave)

        for output in outputs:
            self.ports[output].on_put.append(on_put)
        self.cores[core].may_load = may_load
        self.cores[core].on_load = on_load

    def _results(
        self, core: int, by_task: dict[int, int], memories: dict[int, SequenceMachine]
    ) -> Callable[[Any, int, int], None]:
        config, stages = self.config, self.config.stages
        tree = (config.windows.bit_length() - 1) * stages.tree_level
        tree += stages.chain_add + stages.output_register + stages.requantize
        credits = [
            port
            for port in self.ports
            if port.stream.kind == "credits" and port.stream.source == core
        ]
        gathered: dict[Any, list[int]] = {}  # a frame: activations not sent, flits sent

        def on_pop(frame: Any, task: int, row: int) -> None:
            index = by_task[task]
            chain = self.program.chains[index]
            done = row == chain.row_groups - 1
            if done and credits and chain.role != "recurrent":
                self.clock.after(
                    stages.credit, lambda: credits[0].queue.append(Flit(core, 0, True))
                )
            if index in memories:
                if done:

                    def written() -> None:
                        memories[index].there += 1

                    self.clock.after(tree + 1 + 1, written)
                return
            if chain.role == "gate_input":
                return
            count = int((chain.tail.rows[row] >= 0).sum())
            delay = tree
            if chain.role == "recurrent":
                count //= 4
                delay += stages.pointwise
            self.clock.after(delay, lambda: gather(frame, chain, count, done))

        def gather(frame: Any, chain: Any, count: int, done: bool) -> None:
            state = gathered.setdefault((frame, chain.direction), [0, 0])
            state[0] += count
            while state[0] >= config.flit_activations or (done and state[0]):
                state[0] = max(0, state[0] - config.flit_activations)
                flit = Flit(frame, state[1], done and not state[0])
                state[1] += 1
                port = self.ports[chain.output_stream]
                self.clock.after(
                    stages.flit + stages.inject, lambda f=flit, p=port: p.queue.append(f)
                )

        return on_pop

    def _host(self) -> None:
        in_sequences = {s for entry in self.memories for s in entry.streams}
        for entry in self.sequences:
            if entry.sequence.chain == HOST:
                entry.there = len(self.arriving)
        for index, port in enumerate(self.ports):
            stream = port.stream
            if stream.source != HOST or stream.kind != "activations" or index in in_sequences:
                continue
            flits = self.frame_flits(index)
            for head in self.arriving:
                for place in range(flits):
                    port.queue.append(Flit(head, place, place == flits - 1))
            port.may_put = lambda flit, i=index: flit.place > 0 or self.has_credits(i)
            port.on_put.append(lambda flit, i=index: None if flit.place else self.use_credits(i))

    # ---- running
    def arrive(self, stream: int, core: int, flit: Flit) -> None:
        """A flit reaches a sink."""
        kind = self.program.streams[stream].kind
        if kind == "credits":
            for fed, counters in self.frame_credits.items():
                if self.program.streams[fed].source == core and flit.head in counters:
                    counters[flit.head] += 1
        elif kind == "order":
            for entry in self.sequences:
                if entry.sequence.chain == HOST or entry.first:
                    continue
                chain = self.program.chains[entry.sequence.chain]
                if self.program.tasks[chain.tasks[-1]].core == core:
                    entry.orders.append(flit.head)
        elif core == HOST:
            if flit.last:
                self.log.outputs[stream, flit.head] = self.clock.now
        else:
            self.cores[core].stage(stream, flit)

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
                core.step_issue()
                core.step_pop()
            self.clock.now += 1
        return self.log
