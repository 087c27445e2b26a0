"""The memory behind the last linear layer, and the streams that send its frames on (T12)."""

from __future__ import annotations

from collections import deque

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Sequence
from tests.cycle_stepped.clock import Clock
from tests.cycle_stepped.credits import FrameCredits
from tests.cycle_stepped.frame_order import Head
from tests.cycle_stepped.wires import Flit, Port


def directions_of(served: str) -> list[str]:
    """The directions that a stream carries."""
    return ["forward", "backward"] if served == "both" else [served]


class SequenceMemory:
    """Frames written, places free, and what each stream sends next.

    It knows of a frame what its head said, once the frame was written, and no more.
    """

    def __init__(
        self,
        config: AcceleratorConfig,
        clock: Clock,
        sequence: Sequence,
        ports: list[Port],
        credits: list[FrameCredits],
        *,
        first: bool,
        others: bool,
    ) -> None:
        """``ports``, ``credits``: of all streams; ``others``: whether there are more memories."""
        self.config, self.clock = config, clock
        self.sequence = sequence
        self.ports = ports
        self.credits = credits
        self.first = first
        self.others = others
        # Frames that were written and may be sent, a queue for each direction.
        self.may_go: dict[str, deque[Head]] = {"forward": deque(), "backward": deque()}
        self.arriving: list[Head] = []  # of the wave whose last frame is not there
        self.free = sequence.frames
        self.orders: deque[str] = deque()
        self.most_orders = 0  # that ever waited
        self.sending = dict.fromkeys(sequence.streams, False)
        self.served_last = "backward"
        self.counted: deque[int] = deque()  # places of each wave that is there and has not left
        served = [d for entry in sequence.directions for d in directions_of(entry)]
        self.left = dict.fromkeys(served, 0)  # waves whose last frame was put on
        self.freed = 0  # waves
        for stream in sequence.streams:
            ports[stream].on_put.append(lambda flit, stream=stream: self._put(stream, flit))

    def _put(self, stream: int, flit: Flit) -> None:
        if not flit.last:
            return
        self.sending[stream] = False
        if self.sequence.directions == ("forward",):  # a ring
            self.clock.after(self.config.stages.credit, lambda: self._release(1))
            return
        if not flit.head.closes_wave:
            return
        self.left[flit.head.direction] += 1
        if min(self.left.values()) > self.freed:
            self.freed += 1
            places = self.counted.popleft()
            self.clock.after(self.config.stages.credit, lambda: self._release(places))

    def _release(self, places: int) -> None:
        self.free += places

    def write(self, head: Head) -> None:
        """A frame is there; the last of a wave lets those that were counted go backwards."""
        self.may_go["forward"].append(head.turned("forward", closes_wave=head.closes_wave))
        self.arriving.append(head)
        if head.closes_wave:
            for place in reversed(range(len(self.arriving))):
                turned = self.arriving[place].turned("backward", closes_wave=place == 0)
                self.may_go["backward"].append(turned)
            self.counted.append(len(self.arriving))
            self.arriving = []

    def take_order(self, direction: str) -> None:
        """An order of the first sequence arrives."""
        self.orders.append(direction)
        self.most_orders = max(self.most_orders, len(self.orders))
        assert self.most_orders <= self.config.staging_frames, "the queue of orders overflows"

    def _candidate(self, direction: str) -> Head | None:
        """The frame that this direction would send now."""
        waiting = self.may_go[direction]
        return waiting[0] if waiting else None

    def step(self) -> None:
        """Each stream that has put its frame on decides for the next."""
        for stream, served in zip(self.sequence.streams, self.sequence.directions, strict=True):
            if self.sending[stream]:
                continue
            if served == "both" and not self.first:
                self._follow_order(stream)
            elif self.credits[stream].all_there:
                self._decide(stream, served)

    def _follow_order(self, stream: int) -> None:
        head = self._candidate(self.orders[0]) if self.orders else None
        if head is not None:
            self.orders.popleft()
            self._send(stream, head)

    def _decide(self, stream: int, served: str) -> None:
        found = [self._candidate(direction) for direction in directions_of(served)]
        ready = [head for head in found if head is not None]
        if not ready:
            return
        if len(ready) == 2:
            ready = [head for head in ready if head.direction != self.served_last]
        head = ready[0]
        self.credits[stream].use()
        self.served_last = head.direction
        self._send(stream, head)
        if served == "both" and self.others:
            port = self.ports[self.sequence.order_stream]
            flit = Flit(head.direction, 0, True)
            self.clock.after(self.config.stages.credit, lambda: port.queue.append(flit))

    def _send(self, stream: int, head: Head) -> None:
        self.may_go[head.direction].popleft()
        self.sending[stream] = True
        port = self.ports[stream]
        stages = self.config.stages
        self.clock.after(
            stages.staging_read + stages.inject, lambda: port.queue.extend(port.frame(head))
        )
