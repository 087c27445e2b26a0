"""Timing of several contenders in turns, so that a slow spell of the machine hits all of them.

In each round every peer's turn follows a turn of ours. A turn is one run that is not counted and
several that are. Published are medians with their spread, and ratios of medians.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

TURN_SECONDS = 0.25  # of counted runs
_FEWEST_RUNS, _MOST_RUNS = 2, 100  # of one turn
SETTLE_SECONDS = 0.01  # after a turn: threads that wait for more work fall asleep

Output = TypeVar("Output")


class Contender(Protocol):
    """Something whose runs can be timed."""

    @property
    def name(self) -> str:
        """Its name in tables and figures."""
        ...

    def time_runs(self, count: int) -> list[float]:
        """Seconds of each of ``count`` runs, after one run that is not counted."""
        ...


@dataclass(frozen=True)
class Timing:
    """All counted runs of one contender, in seconds, a tuple a turn."""

    name: str
    turns: tuple[tuple[float, ...], ...]

    @property
    def runs(self) -> list[float]:
        """All runs in order."""
        return [seconds for turn in self.turns for seconds in turn]

    @property
    def median(self) -> float:
        """Median of all runs, in seconds."""
        return statistics.median(self.runs)

    def quantile(self, share: float) -> float:
        """The run at ``share`` (0 to 1) of the sorted runs, in seconds."""
        return quantile(self.runs, share)

    def to_row(self) -> dict[str, Any]:
        """Median and spread in milliseconds."""
        return {
            "name": self.name,
            "median_ms": milliseconds(self.median),
            "min_ms": milliseconds(min(self.runs)),
            "p10_ms": milliseconds(self.quantile(0.1)),
            "p90_ms": milliseconds(self.quantile(0.9)),
            "runs": len(self.runs),
        }


class LocalContender:
    """A call in this process; ``check`` sees each output, outside the timed part."""

    def __init__(
        self,
        name: str,
        call: Callable[[], Output],
        check: Callable[[Output], None] = lambda output: None,
    ) -> None:
        self.name = name
        self._call: Callable[[], Any] = call
        self._check: Callable[[Any], None] = check

    def time_runs(self, count: int) -> list[float]:
        """See :class:`Contender`."""
        self._check(self._call())
        times = []
        with _no_garbage_collection():
            for _ in range(count):
                start = time.perf_counter()
                output = self._call()
                times.append(time.perf_counter() - start)
                self._check(output)
        return times


def take_turns(
    ours: Contender,
    others: Sequence[Contender],
    *,
    rounds: int,
) -> dict[str, Timing]:
    """Timings by name: in each round ours, a peer, ours, the next peer, ...

    The counted runs of a turn take about TURN_SECONDS and are at least 2. Raises ValueError for no
    rounds.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    order: list[Contender] = [ours]
    for number, other in enumerate(others):
        order += [other] if number == 0 else [ours, other]
    counts = {each.name: _runs_of_turn(each) for each in (ours, *others)}
    turns: dict[str, list[tuple[float, ...]]] = {name: [] for name in counts}
    for _ in range(rounds):
        for contender in order:
            turns[contender.name].append(tuple(contender.time_runs(counts[contender.name])))
            time.sleep(SETTLE_SECONDS)
    return {name: Timing(name, tuple(recorded)) for name, recorded in turns.items()}


def time_call(
    name: str,
    call: Callable[[], Output],
    *,
    rounds: int,
    check: Callable[[Output], None] = lambda output: None,
) -> Timing:
    """The timing of one call alone, in as many turns as ``rounds``."""
    return take_turns(LocalContender(name, call, check), [], rounds=rounds)[name]


def ratio_row(timing: Timing, ours: Timing) -> dict[str, Any]:
    """Ratio of medians, and the spread of the ratios of single turns of ``timing`` to ours."""
    ratios = [statistics.median(turn) / ours.median for turn in timing.turns]
    return {
        "ratio": timing.median / ours.median,
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
    }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, _ceil(share * len(ordered)) - 1))]


def milliseconds(seconds: float) -> float:
    """Milliseconds, to the microsecond's tenth part: no clock here is better."""
    return round(1000 * seconds, 4)


def _ceil(value: float) -> int:
    return -int(-value // 1)


def _runs_of_turn(contender: Contender) -> int:
    fastest = min(contender.time_runs(_FEWEST_RUNS))
    return max(_FEWEST_RUNS, min(_MOST_RUNS, round(TURN_SECONDS / max(fastest, 1e-9))))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
