"""The credits that the source of a stream of frames keeps: a counter for each reading tail."""

from __future__ import annotations


class FrameCredits:
    """Room in the staging of the consumers of one stream (T11)."""

    def __init__(self, consumers: set[int], places: int) -> None:
        """``consumers``: the cores of their tails."""
        self._counters = dict.fromkeys(consumers, places)

    @property
    def all_there(self) -> bool:
        """Whether every consumer has room for one more frame."""
        return all(self._counters.values())

    def use(self) -> None:
        """A frame is sent to all."""
        for core in self._counters:
            self._counters[core] -= 1

    def give(self, core: int) -> None:
        """A credit of one tail arrives; those of readers of other streams do not count."""
        if core in self._counters:
            self._counters[core] += 1
