"""Staging of one core: frames that wait to be loaded, and the heads that say which is next."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Segment
from tests.cycle_stepped.clock import Clock
from tests.cycle_stepped.frame_order import Head
from tests.cycle_stepped.wires import Flit

FED_BACK_PLACES = 2  # of each utterance and direction (T13)


class Staging:
    """What has arrived; checks that it has the places that the rules promise (T11, T13)."""

    def __init__(self, config: AcceleratorConfig, clock: Clock, *, recurrent: bool) -> None:
        self.config, self.clock = config, clock
        self.recurrent = recurrent
        self.listens_to = -1  # the stream whose heads give the order of the passes
        self.head_places = config.staging_frames
        self.heads: deque[Head] = deque()
        self.most_heads = 0  # that ever waited
        self._newest: dict[tuple[int, str], Head] = {}  # of an utterance and direction
        self._step_before: dict[Head, Head] = {}
        self._flits: Counter[tuple[int, Head]] = Counter()  # arrived, of a stream and frame
        self._needed: dict[str, dict[int, int]] = {}  # a direction, a stream: flits of a frame

    def add_task(self, direction: str, segments: tuple[Segment, ...], row_groups: int) -> None:
        """What a pass needs of each stream; a short recurrent pass lets more heads come ahead."""
        size = self.config.flit_activations
        needed = self._needed.setdefault(direction, {})
        for segment in segments:
            flits = (segment.first + segment.count - 1) // size + 1
            needed[segment.stream] = max(flits, needed.get(segment.stream, 0))
        if self.recurrent:
            ahead = self.config.chain_fifo // row_groups
            self.head_places = max(self.head_places, self.config.staging_frames + ahead)

    def arrive(self, stream: int, flit: Flit) -> None:
        """A flit comes off the network."""
        self.clock.after(self.config.stages.staging_write, lambda: self._write(stream, flit))

    def _write(self, stream: int, flit: Flit) -> None:
        head: Any = flit.head
        if stream == self.listens_to and flit.place == 0:
            self.heads.append(head)
            if not head.first:
                self._step_before[head] = self._newest[head.utterance, head.direction]
            self._newest[head.utterance, head.direction] = head
            self.most_heads = max(self.most_heads, len(self.heads))
            assert self.most_heads <= self.head_places, "the queue of heads overflows"
        needed = self._needed[head.direction].get(stream, 0)
        dropped = self.recurrent and head.last  # nobody takes a step after it
        if flit.place >= needed or dropped:
            return
        self._flits[stream, head] += 1
        kept = Counter(self._place(*key) for key in self._flits)
        places = FED_BACK_PLACES if self.recurrent else self.config.staging_frames
        assert max(kept.values()) <= places, "a frame has no place"

    def _place(self, stream: int, head: Head) -> tuple[Any, ...]:
        return (stream, head.utterance, head.direction) if self.recurrent else (stream,)

    def _wanted(self, head: Head) -> Head | None:
        """The frame to load for a pass: its own, or what the step before fed back, or zeros."""
        if not self.recurrent:
            return head
        return None if head.first else self._step_before[head]

    def next(self) -> Head | None:
        """The frame of the next pass, if all that it needs lies complete here."""
        if not self.heads:
            return None
        head = self.heads[0]
        wanted = self._wanted(head)
        needed = self._needed[head.direction].items() if wanted is not None else ()
        complete = all(self._flits[stream, wanted] == count for stream, count in needed)
        return head if complete else None

    def take(self) -> None:
        """The core begins to load the next frame."""
        self.heads.popleft()

    def release(self, head: Head) -> None:
        """The store holds the frame of this pass: its place is free."""
        wanted = self._wanted(head)
        for stream in self._needed[head.direction] if wanted is not None else ():
            del self._flits[stream, wanted]
