"""One core: load, fetch, issue, FIFOs, pop."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Task
from tests.cycle_stepped.clock import Clock, Log
from tests.cycle_stepped.fetch_unit import FetchUnit
from tests.cycle_stepped.frame_order import Head
from tests.cycle_stepped.staging import Staging
from tests.cycle_stepped.tail import Tail
from tests.cycle_stepped.wires import NeighbourWire


@dataclass(frozen=True)
class StoredTask:
    """A task in the memories of a core."""

    number: int
    row_groups: int
    load_cycles: int
    addresses: list[range]  # a stream


@dataclass
class LoadedFrame:
    """A frame in a bank of the store, or on its way there."""

    head: Head
    task: StoredTask
    at_port: int  # when its first word can be written
    written: int = 0  # words, a cycle each
    last_write: int = -1


class Core:
    """State machines for load, fetch, issue and pop; streams are row lanes x windows."""

    def __init__(
        self,
        config: AcceleratorConfig,
        clock: Clock,
        log: Log,
        staging: Staging,
        tasks: dict[str, tuple[int, Task, int, list[list[int]]]],
    ) -> None:
        """``tasks``: a direction; number, task, row groups and, a stream, row ends of its words."""
        self.config, self.clock, self.log = config, clock, log
        self.staging = staging
        self.tasks: dict[str, StoredTask] = {}
        streams = config.row_lanes * config.windows
        memories: list[list[int]] = [[] for _ in range(streams)]
        for direction, (number, task, row_groups, words) in tasks.items():
            start, stop = task.columns
            load = -(-(stop - start) // (config.windows * config.load_word_bytes))
            addresses = []
            for memory, stream_words in zip(memories, words, strict=True):
                addresses.append(range(len(memory), len(memory) + len(stream_words)))
                memory += stream_words
            self.tasks[direction] = StoredTask(number, row_groups, load, addresses)
            staging.add_task(direction, task.segments, row_groups)
        banks = 2 if config.double_buffered else 1
        self.fetch_units = [FetchUnit(clock, m, config.stages.fetch, banks) for m in memories]
        self.tail: Tail | None = None
        self.inputs: list[NeighbourWire] = []
        self.outputs: list[NeighbourWire] = []
        self.free_banks = banks
        self.loading: LoadedFrame | None = None
        self.loaded: deque[LoadedFrame] = deque()
        self.issuing: LoadedFrame | None = None
        self.last_read = -1
        self.half_issued = [False] * streams  # the first of two row groups of the word
        self.finished = [False] * streams
        self.room = [config.window_fifo] * streams
        self.fifo = [0] * streams
        self.popping: deque[tuple[Head, StoredTask]] = deque()  # whose row groups are coming
        self.popped = 0

    # ---- load
    def step_load(self) -> None:
        """Write one more word of a load, or decide for the next."""
        if self.loading is None:
            self._decide()
        elif self.loading.at_port <= self.clock.now:
            self._write(self.loading)

    def _decide(self) -> None:
        head = self.staging.next()
        if head is None or (self.tail is not None and not self.tail.may_load()):
            return
        task = self.tasks[head.direction]
        self.staging.take()
        if self.tail is not None:
            self.tail.loads()
        self.log.loads[task.number, head] = self.clock.now
        self.loading = LoadedFrame(head, task, self.clock.now + self.config.stages.staging_read)
        self.clock.after(1, lambda: self._fetch(task))

    def _write(self, frame: LoadedFrame) -> None:
        if not frame.written:
            if not self.free_banks:
                return
            self.free_banks -= 1
            if not self.config.double_buffered:
                assert self.clock.now > self.last_read, "a write meets reads of the pass before"
        frame.written += 1
        if frame.written == frame.task.load_cycles:
            frame.last_write = self.clock.now
            self.staging.release(frame.head)
            self.loaded.append(frame)
            self.loading = None

    def _fetch(self, task: StoredTask) -> None:
        for unit, addresses in zip(self.fetch_units, task.addresses, strict=True):
            unit.begin(addresses)

    def step_fetch(self) -> None:
        """One address a stream."""
        for unit in self.fetch_units:
            unit.step()

    # ---- issue
    def step_issue(self) -> None:
        """The word at each buffer's exit, unless it ends a row group that has no room."""
        if self.issuing is None:
            ready = self.loaded and self.loaded[0].last_write < self.clock.now
            if not ready or not any(unit.exit for unit in self.fetch_units):
                return
            self.issuing = self.loaded.popleft()
            self.finished = [False] * len(self.finished)
            self.log.starts[self.issuing.task.number, self.issuing.head] = self.clock.now
            self.popping.append((self.issuing.head, self.issuing.task))
        for stream in range(len(self.fetch_units)):
            if not self.finished[stream]:
                self._issue(stream)
        if all(self.finished):
            self.log.stops[self.issuing.task.number, self.issuing.head] = self.clock.now
            self.issuing = None
            self.clock.after(1, self._free_bank)

    def _issue(self, stream: int) -> None:
        word = self.fetch_units[stream].exit
        if word is None:
            return
        ending = word.ends - self.half_issued[stream]
        issued = min(ending, self.room[stream])
        if ending and not issued:
            return
        self.last_read = self.clock.now
        for _ in range(issued):
            self.room[stream] -= 1
            self.clock.after(self.config.stages.window, lambda: self._sum(stream))
        self.half_issued[stream] = issued < ending
        if issued == ending:
            self.fetch_units[stream].issue()
            self.finished[stream] = word.closes_task

    def _free_bank(self) -> None:
        self.free_banks += 1

    def _sum(self, stream: int) -> None:
        self.fifo[stream] += 1
        assert self.fifo[stream] <= self.config.window_fifo

    # ---- pop
    def step_pop(self) -> None:
        """A row group leaves all FIFOs, if neighbours have announced theirs and have room."""
        if not all(self.fifo):
            return
        if not all(wire.announced for wire in self.inputs):
            return
        if not all(wire.credits for wire in self.outputs):
            return
        self.fifo = [sums - 1 for sums in self.fifo]
        self.clock.after(self.config.stages.credit, self._room)
        for wire in self.inputs:
            wire.sink_pops()
        for wire in self.outputs:
            wire.source_pops()
        head, task = self.popping[0]
        self.log.pops[task.number, head].append(self.clock.now)
        if self.tail is not None:
            self.tail.pops(head, task.number, self.popped)
        self.popped += 1
        if self.popped == task.row_groups:
            self.popped = 0
            self.popping.popleft()

    def _room(self) -> None:
        self.room = [places + 1 for places in self.room]
