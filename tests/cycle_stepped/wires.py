"""What leads from core to core: flits in slots of the wheel, and wires between neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Stream
from tests.cycle_stepped.clock import Clock, Log


@dataclass
class Flit:
    """One flit: its frame, its place in it."""

    head: Any
    place: int
    last: bool


class Port:
    """A stream's queue of flits and its slots of the wheel."""

    def __init__(
        self,
        config: AcceleratorConfig,
        clock: Clock,
        log: Log,
        index: int,
        stream: Stream,
        arrive: Callable[[int, int, Flit], None],
    ) -> None:
        """``arrive``: told stream, core and flit when a flit reaches a sink."""
        self.config, self.clock, self.log = config, clock, log
        self.index = index
        self.stream = stream
        self.arrive = arrive
        self.queue: deque[Flit] = deque()
        self.on_put: list[Callable[[Flit], None]] = []
        self.may_put: Callable[[Flit], bool] = lambda flit: True

    def step(self) -> None:
        """Put the first flit on, if the slot is the stream's."""
        if self.clock.now % self.config.slots not in self.stream.slots or not self.queue:
            return
        if not self.may_put(self.queue[0]):
            return
        flit = self.queue.popleft()
        self.log.flits[self.index].append(self.clock.now)
        for sink in self.stream.sinks:
            delay = sink.hops * self.config.stages.hop + self.config.stages.eject
            self.clock.after(delay, lambda core=sink.core: self.arrive(self.index, core, flit))
        for listener in self.on_put:
            listener(flit)

    def frame(self, head: Any) -> list[Flit]:
        """The flits of one frame of the stream."""
        count = -(-self.stream.frame // self.config.flit_activations)
        return [Flit(head, place, place == count - 1) for place in range(count)]


class NeighbourWire:
    """Announcements one way, credits the other, and the sums that follow the announcements."""

    def __init__(
        self,
        config: AcceleratorConfig,
        clock: Clock,
        hops: int,
        *,
        announce: int,
        leave: int,
        read: int,
    ) -> None:
        """Cycles behind a pop: ``leave`` to the link, ``read`` of the sum by the sink.

        ``announce``: by how much the sink waits longer than the announcement travels.
        """
        stages = config.stages
        self.clock = clock
        self.places = config.chain_fifo
        self.credits = config.chain_fifo
        self.announced = 0
        self.waiting = 0  # sums in the FIFO
        self.link = stages.inject + hops * stages.hop + stages.eject
        self.back = hops * stages.hop + stages.credit
        self.announce, self.leave, self.read = announce, leave, read

    def source_pops(self) -> None:
        """The source takes a place; announcement and sum set off."""
        self.credits -= 1
        self.clock.after(self.link + self.announce, self._announce)
        self.clock.after(self.leave + self.link, self._write)

    def sink_pops(self) -> None:
        """The sink gives the place back, and reads the sum when its own is there."""
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
