"""A weight memory, the unit that reads it ahead, and the buffer at whose exit words issue."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tests.cycle_stepped.clock import Clock


class FetchedWord(NamedTuple):
    """What the control of a stream sees of a word, and only once it is in the buffer."""

    ends: int  # rows that end in it, 0 to 2: its split and last bits
    closes_task: bool  # a mark of the fetch unit


class FetchUnit:
    """One stream of a core. Its buffer is what ``fetch`` words on their way need to never run dry.

    ``memory``: of each word the rows that end in it; the tasks of the core lie behind each other.
    """

    def __init__(self, clock: Clock, memory: list[int], latency: int, banks: int) -> None:
        self.clock = clock
        self.memory = memory
        self.latency = latency
        self.banks = banks
        self.places = latency + 1
        self.credits = self.places
        self.buffer: deque[FetchedWord] = deque()
        self.tasks: deque[range] = deque()  # addresses that are left of the tasks to fetch

    def begin(self, addresses: range) -> None:
        """One more task: its load was decided."""
        self.tasks.append(addresses)
        assert len(self.tasks) <= self.banks + 1, "a task has no place at the fetch unit"

    def step(self) -> None:
        """Give the next address, if its word has a place."""
        if not self.tasks or not self.credits:
            return
        addresses = self.tasks.popleft()
        self.credits -= 1
        word = FetchedWord(self.memory[addresses[0]], len(addresses) == 1)
        self.clock.after(self.latency, lambda: self._arrive(word))
        if len(addresses) > 1:
            self.tasks.appendleft(addresses[1:])

    def _arrive(self, word: FetchedWord) -> None:
        self.buffer.append(word)
        assert len(self.buffer) <= self.places

    @property
    def exit(self) -> FetchedWord | None:
        """The word that may issue."""
        return self.buffer[0] if self.buffer else None

    def issue(self) -> None:
        """The word leaves, whole."""
        self.buffer.popleft()
        self.clock.after(1, self._free)

    def _free(self) -> None:
        self.credits += 1
