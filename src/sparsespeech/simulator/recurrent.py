"""Rules T12 and T13: x frames leave the sequence memories, recurrent blocks take their steps.

A *flow* is the order in which x frames are sent: that of one direction in the paper's mapping, one
for both directions when interleaved. All times are cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparsespeech.compiler.program import HOST
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import Times
from sparsespeech.simulator.fabric import Fabric
from sparsespeech.simulator.linear import LinearLayers
from sparsespeech.simulator.network import flit_count
from sparsespeech.simulator.sequence import Frame, FrameOrder, SequenceMemory
from sparsespeech.simulator.wiring import head_stream


@dataclass
class Sender:
    """One stream out of one sequence memory."""

    memory: SequenceMemory
    stream: int
    core: int  # the tail beside the memory, or the host
    flits: int  # of a frame
    free: int = 0  # when the frame before was put on whole


class Flow:
    """The x frames of one order, and the steps of the blocks that take them."""

    def __init__(
        self,
        fabric: Fabric,
        linear: LinearLayers,
        order: FrameOrder,
        memories: list[SequenceMemory],
        served: str,
    ) -> None:
        """``served``: "forward", "backward" or "both", an entry of ``Sequence.directions``."""
        self._fabric = fabric
        self._linear = linear
        self._order = order
        self._senders = [_sender(fabric, memory, served) for memory in memories]
        self._turns = memories[0].sequence.order_stream if served == "both" else None
        self._sent = 0
        directions = ("forward", "backward") if served == "both" else (served,)
        self._waiting = {direction: order.sent(direction) for direction in directions}
        self._next = dict.fromkeys(directions, 0)
        self._served_last = directions[-1]
        sequences = tuple(memory.sequence for memory in memories)
        self._heads = {
            (core, direction): head_stream(sequences, fabric.program, core, direction)
            for wiring in fabric.wirings
            for core in wiring.cores[wiring.feeding :]
            for direction in directions
            if any(variant.direction == direction for variant in wiring.variants)
        }
        self._fed_back: dict[tuple[str, int], dict[int, Times]] = {}

    def finish(self, wave: int) -> None:
        """Send all frames of ``wave`` that are left, and what comes before the last of them."""
        while any(self._peek(direction, wave) for direction in self._next):
            frame, decided = self._choose()
            self._next[frame.direction] += 1
            self._served_last = frame.direction
            self._step(frame, self._send(frame, decided))
            self._sent += 1

    def _peek(self, direction: str, wave: int) -> Frame | None:
        """The next frame of a direction, if it belongs to ``wave`` or one before."""
        at = self._next[direction]
        frames = self._waiting[direction]
        return frames[at] if at < len(frames) and frames[at].wave <= wave else None

    def _there(self, sender: Sender, frame: Frame) -> int | None:
        """From when on a memory may send ``frame``; None if nobody can know that yet."""
        number = frame.number
        if frame.direction == "backward":
            number = self._order.last_number(frame.wave)
        self._linear.reach(number)
        return sender.memory.there(number)

    def _choose(self) -> tuple[Frame, int]:
        """The next frame, and when the first sequence decides to send it (T12)."""
        first = self._senders[0]
        base = max(first.free, self._fabric.credits(first.stream, self._sent, first.core))
        there: dict[str, tuple[Frame, int]] = {}
        for direction in self._next:
            frame = self._peek(direction, self._order.waves)
            since = None if frame is None else self._there(first, frame)
            if frame is not None and since is not None:
                there[direction] = (frame, since)
        if not there:
            raise SimulationError(
                f"no frame can reach sequence {first.memory.sequence.chain} before others leave"
            )
        decided = max(base, min(since for _, since in there.values()))
        ready = [direction for direction, (_, since) in there.items() if since <= decided]
        others = [direction for direction in ready if direction != self._served_last]
        return there[(others or ready)[0]][0], decided

    def _send(self, frame: Frame, decided: int) -> dict[int, Times]:
        """Put the parts of all memories on; when the flits of each stream are put on."""
        order = None
        if self._turns is not None and len(self._senders) > 1:
            ready = np.array([decided + self._fabric.config.stages.credit], dtype=np.int64)
            order = int(self._fabric.put_on(self._turns, ready)[0])
        start = self._fabric.config.stages.staging_read + self._fabric.config.stages.inject
        put_on = {}
        for index, sender in enumerate(self._senders):
            if index > 0:
                decided = self._decide(sender, frame, order)
            flits = np.full(sender.flits, decided + start, dtype=np.int64)
            put_on[sender.stream] = self._fabric.put_on(sender.stream, flits)
            sender.free = int(put_on[sender.stream][-1])
            if sender.core == HOST:
                first_flit = int(put_on[sender.stream][0])
                self._fabric.record.host_frames.append((frame, first_flit))
            sender.memory.leave(frame, sender.free, closes_wave=self._last_of_wave(frame))
        return put_on

    def _decide(self, sender: Sender, frame: Frame, order: int | None) -> int:
        """When a sequence other than the first decides to send ``frame``."""
        since = self._there(sender, frame)
        if since is None:
            raise SimulationError("sequences of one layer hold different frames")
        if order is not None and self._turns is not None:
            allowed = order + self._fabric.circuits[self._turns].delay(sender.core)
        else:
            allowed = self._fabric.credits(sender.stream, self._sent, sender.core)
        return max(sender.free, since, allowed)

    def _last_of_wave(self, frame: Frame) -> bool:
        at = self._next[frame.direction]  # already counted
        frames = self._waiting[frame.direction]
        return at == len(frames) or frames[at].wave > frame.wave

    def _step(self, frame: Frame, put_on: dict[int, Times]) -> None:
        """The pass of each block that works for the frame's direction (T13)."""
        results: dict[int, Times] = {}
        before = self._fed_back.get((frame.direction, frame.utterance), {})
        for block, wiring in enumerate(self._fabric.wirings):
            for index, variant in enumerate(wiring.variants):
                if variant.direction != frame.direction:
                    continue
                complete = []
                for place, core in enumerate(wiring.cores):
                    parts = variant.parts[place]
                    if place < wiring.feeding:
                        complete.append(self._fabric.complete(parts, put_on, core))
                        continue
                    head = self._head(core, frame, put_on)
                    if not frame.first:
                        head = max(head, self._fabric.complete(parts, before, core))
                    complete.append(head)
                times = np.array(complete, dtype=np.int64)
                step = self._fabric.advance(block, index, times, frame)
                output = self._fabric.program.chains[variant.chain].output_stream
                sent = self._fabric.put_results_on(block, variant, step, frame)
                if output is not None and sent is not None:
                    results[output] = sent
        self._fed_back[frame.direction, frame.utterance] = results

    def _head(self, core: int, frame: Frame, put_on: dict[int, Times]) -> int:
        stream = self._heads[core, frame.direction]
        arrival = int(put_on[stream][0]) + self._fabric.circuits[stream].delay(core)
        return arrival + self._fabric.config.stages.staging_write


def _sender(fabric: Fabric, memory: SequenceMemory, served: str) -> Sender:
    sequence = memory.sequence
    if served not in sequence.directions:
        raise SimulationError(
            f"sequence of chain {sequence.chain} serves {sequence.directions}, expected {served} "
            "as in the first sequence; compile the program again"
        )
    stream = sequence.streams[sequence.directions.index(served)]
    size = fabric.program.streams[stream].frame
    return Sender(
        memory,
        stream,
        HOST if sequence.chain == HOST else fabric.program.streams[stream].source,
        flit_count(size, fabric.config.flit_activations),
    )
