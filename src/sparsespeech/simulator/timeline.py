"""What every core does in every cycle of a run: one state at a time, from the first to the last.

Axes: C cores of a block. All times are cycles.

A pass of a core is drawn as *load* (activations to the store), *multiply* (as many cycles as its
longest stream has words), *row limit* and *stall* (the other cycles until its last word has
issued, see ``counters.py``; they lie anywhere among those of multiply and are drawn behind them)
and *drain* (until its last result has left the core's last register). A recurrent core then waits
for the output of the step before: *recurrence*. What hides behind something else (loads of two
banks, the drain behind the next load) is not drawn, so the states of a core add up to the cycles of
the run, as in ``core_counters``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from sparsespeech.simulator.counters import IssueSplit, issue_split, pipeline_cycles
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.sequence import Frame

State = Literal["idle", "load", "multiply", "row_limit", "stall", "drain", "recurrence"]
BUSY: tuple[State, ...] = ("load", "multiply", "row_limit", "stall", "drain", "recurrence")
STATES: tuple[State, ...] = ("idle", *BUSY)


@dataclass(frozen=True)
class Slice:
    """A core in one state, from ``start`` to just before ``stop``; never empty."""

    state: State
    start: int
    stop: int
    frame: Frame | None  # None: idle; recurrence: the frame that waits
    chain: int | None

    @property
    def cycles(self) -> int:
        """At least 1."""
        return self.stop - self.start


def core_timeline(run: Run) -> list[list[Slice]]:
    """The slices of each core of the grid, in order and without a gap, over ``run.cycles``."""
    timelines: list[list[Slice]] = [[] for _ in run.program.places]
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        chains = {variant.direction: variant.chain for variant in wiring.variants}
        for place, core in enumerate(wiring.cores):
            line = _Line(pipeline_cycles(run, wiring, place), recurrent=place >= wiring.feeding)
            for step in passes:
                direction = step.frame.direction if len(chains) > 1 else next(iter(chains))
                times = step.times
                line.add_pass(
                    step.frame,
                    chains[direction],
                    load=int(times.decided[place]),
                    start=int(times.started[place]),
                    issue=issue_split(times, place),
                    last_pop=times.last_pop(place),
                )
            timelines[core] = line.finished(run.cycles)
    idle = _Line(0, recurrent=False).finished(run.cycles)
    return [slices or list(idle) for slices in timelines]


def cycles_of_states(slices: list[Slice]) -> dict[State, int]:
    """How long a core was in each state."""
    cycles: Counter[State] = Counter()
    for part in slices:
        cycles[part.state] += part.cycles
    return {state: cycles[state] for state in STATES}


class _Line:
    """The slices of one core while they are made."""

    def __init__(self, pipeline: int, *, recurrent: bool) -> None:
        self.slices: list[Slice] = []
        self._pipeline = pipeline
        self._recurrent = recurrent
        self._last: tuple[Frame, int, int] | None = None  # frame, chain, end of its drain

    def add_pass(
        self,
        frame: Frame,
        chain: int,
        *,
        load: int,
        start: int,
        issue: IssueSplit,
        last_pop: int,
    ) -> None:
        self._drain(load)
        if self._recurrent and not frame.first:
            self._add("recurrence", load, frame, chain)
        self._add("idle", load, None, None)
        self._add("load", start, frame, chain)
        self._add("multiply", start + issue.multiply, frame, chain)
        self._add("row_limit", start + issue.multiply + issue.row_limit, frame, chain)
        self._add("stall", start + sum(issue), frame, chain)
        self._last = frame, chain, last_pop + self._pipeline + 1

    def _drain(self, until: int) -> None:
        """What is left of the pass before."""
        if self._last is not None:
            frame, chain, drained = self._last
            self._add("drain", min(drained, until), frame, chain)

    def _add(self, state: State, stop: int, frame: Frame | None, chain: int | None) -> None:
        start = self.slices[-1].stop if self.slices else 0
        if stop > start:
            self.slices.append(Slice(state, start, stop, frame, chain))

    def finished(self, end: int) -> list[Slice]:
        """All slices; after the drain of its last pass the core is idle."""
        self._drain(end)
        self._add("idle", end, None, None)
        return self.slices
