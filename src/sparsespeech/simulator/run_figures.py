"""Figures of a run for tables, JSON and the report: by utterance, by layer, by core and by link.

All times are cycles unless a name says otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sparsespeech.accelerator_counters import CoreCounters
from sparsespeech.compiler.program import Place
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.counters import (
    StepSplit,
    core_counters,
    link_flits,
    step_split,
)
from sparsespeech.simulator.machine import Run

WIRES = {  # kinds of wires of a link, with what they carry
    "frames": "activations",
    "sums": "partial sums and gate inputs, between neighbours",
    "control": "credits and the order of directions",
}
CAUSES = ("multiply", "row_limit", "stall", "load", "drain", "recurrence")
CAUSE_NAMES = tuple(cause.replace("_", " ") for cause in CAUSES)  # for a person


@dataclass(frozen=True)
class PassFigures:
    """Mean cycles of a pass (a frame, or a step of an LSTM) on the layer's busiest tail."""

    layer: str
    core: int
    passes: int
    multiply: float
    row_limit: float
    stall: float
    load: float
    drain: float
    recurrence: float

    @property
    def total(self) -> float:
        """Without the cycles in which no frame was there."""
        return float(sum(getattr(self, cause) for cause in CAUSES))


@dataclass(frozen=True)
class LinkFigures:
    """Wires of one kind of one directed link; ``stop`` equal to ``start`` for the host's port."""

    wires: str  # "frames", "control" or "sums"
    start: Place
    stop: Place
    to_host: bool  # of the host's port, which has a link in and a link out
    flits: int
    utilisation: float  # of the cycles of the run, 0 to 1


@dataclass(frozen=True)
class UtteranceFigures:
    """One utterance; latencies reach from its (or a frame's) first flit to its last activation."""

    wave: int
    frames: int
    latency_cycles: int
    latency_ms: float
    frame_latency_cycles: tuple[int, ...]


@dataclass(frozen=True)
class RunFigures:
    """Everything that tables show of a run."""

    cycles: int
    seconds: float
    passes: tuple[PassFigures, ...]
    steps: dict[str, StepSplit]  # by direction; empty with several utterances in flight
    cores: tuple[CoreCounters, ...]
    links: tuple[LinkFigures, ...]  # of all kinds of wires, the busiest first
    utilisation: float  # mean share of the cycles in which the cores of the grid multiply

    def busiest_links(self, wires: str, count: int) -> tuple[LinkFigures, ...]:
        """The ``count`` busiest links with wires of a kind."""
        return tuple(link for link in self.links if link.wires == wires)[:count]

    def to_json(self) -> dict[str, Any]:
        """Plain values, the derived ones too."""
        return {
            "cycles": self.cycles,
            "milliseconds": 1e3 * self.seconds,
            "utilisation": self.utilisation,
            "passes": [{**asdict(entry), "total": entry.total} for entry in self.passes],
            "steps": {
                direction: {**asdict(split), "total": split.total}
                for direction, split in self.steps.items()
            },
            "cores": [{**asdict(core), "utilisation": core.utilisation} for core in self.cores],
            "links": [asdict(link) for link in self.links],
        }


def cycles_per_frame(
    timing: Callable[[Sequence[Sequence[int]]], Run], utterances: int, frames: int
) -> float:
    """Cycles between frames when utterance follows utterance without end.

    ``timing`` makes the run of waves of utterances given by their frames. Waves of ``utterances``
    of ``frames`` frames are in flight; the first and the last, which fill and drain the machine,
    do not count.
    """
    wave = (frames,) * utterances
    first, last = timing([wave] * 2).cycles, timing([wave] * 4).cycles
    return (last - first) / (2 * utterances * frames)


def run_figures(run: Run) -> RunFigures:
    """The figures of ``run``."""
    cores = core_counters(run)
    links = sorted(
        (
            LinkFigures(*wires, flits, flits / run.cycles)
            for wires, flits in link_flits(run).items()
        ),
        key=lambda link: (-link.flits, link.wires, link.start, link.stop, link.to_host),
    )
    return RunFigures(
        cycles=run.cycles,
        seconds=run.program.config.seconds(run.cycles),
        passes=_passes(run, {counters.core: counters for counters in cores}),
        steps=_steps(run),
        cores=tuple(sorted(cores, key=lambda counters: counters.core)),
        links=tuple(links),
        utilisation=sum(core.multiply for core in cores) / (run.cycles * len(run.program.places)),
    )


def utterance_figures(run: Run) -> tuple[UtteranceFigures, ...]:
    """Of each utterance in the order of the run."""
    by_utterance: dict[tuple[int, int], list[int]] = {}
    for (wave, utterance, _), cycles in sorted(run.frame_latencies.items()):
        by_utterance.setdefault((wave, utterance), []).append(cycles)
    return tuple(
        UtteranceFigures(
            wave=wave,
            frames=frames,
            latency_cycles=run.latencies[wave][utterance],
            latency_ms=1e3 * run.program.config.seconds(run.latencies[wave][utterance]),
            frame_latency_cycles=tuple(by_utterance[wave, utterance]),
        )
        for wave, lengths in enumerate(run.waves)
        for utterance, frames in enumerate(lengths)
    )


def _passes(run: Run, cores: dict[int, CoreCounters]) -> tuple[PassFigures, ...]:
    """Of each layer the row group whose tail is busy longest."""
    found: dict[str, PassFigures] = {}
    for wiring, passes in zip(run.blocks, run.passes, strict=True):
        layer = run.program.chains[wiring.variants[0].chain].layer
        tail = wiring.cores[-1]
        means = {cause: getattr(cores[tail], cause) / len(passes) for cause in CAUSES}
        figures = PassFigures(layer, tail, len(passes), **means)
        if layer not in found or figures.total > found[layer].total:
            found[layer] = figures
    return tuple(found.values())


def _steps(run: Run) -> dict[str, StepSplit]:
    """The steps of each direction in their parts, where a step waits for the one before."""
    directions = Counter(
        chain.direction for chain in run.program.chains if chain.role == "recurrent"
    )
    steps: dict[str, StepSplit] = {}
    for direction in directions:
        try:
            steps[direction] = step_split(run, direction)
        except SimulationError:  # utterances in flight together, or a single frame
            return {}
    return steps
