"""The one clock of the machine, and what it writes down for the comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any


class Clock:
    """Delay lines: what is scheduled comes out at the beginning of a later cycle."""

    def __init__(self) -> None:
        self.now = 0
        self._due: dict[int, list[Callable[[], None]]] = defaultdict(list)

    def after(self, cycles: int, action: Callable[[], None]) -> None:
        """Do it that many cycles from now, before the state machines step."""
        assert cycles >= 1, "a delay line has at least one register"
        self._due[self.now + cycles].append(action)

    def deliver(self) -> None:
        """What comes out of the delay lines in this cycle."""
        for action in self._due.pop(self.now, []):
            action()


class Log:
    """The cycles that are compared; keys are (task, frame) or (stream, frame)."""

    def __init__(self) -> None:
        self.pops: dict[tuple[int, Any], list[int]] = defaultdict(list)
        self.loads: dict[tuple[int, Any], int] = {}
        self.starts: dict[tuple[int, Any], int] = {}
        self.stops: dict[tuple[int, Any], int] = {}
        self.flits: dict[int, list[int]] = defaultdict(list)  # a stream
        self.outputs: dict[tuple[int, Any], int] = {}
