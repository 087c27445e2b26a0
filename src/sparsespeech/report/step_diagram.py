"""Pictures of time: where the cycles of one recurrent step go, and a whole utterance on its cores.

All times are cycles.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsespeech.compiler.latency_model import PAPER_BUBBLE_CYCLES
from sparsespeech.report.diagram import INK, Diagram, Point, tint
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED
from sparsespeech.simulator.counters import step_split
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.timeline import Slice, core_timeline

STEP_SIZE = (1100, 330)
_LEFT, _WIDTH = 40.0, 1020.0
_ROW = 26.0
_NARROW = 90.0  # units of a part that is too small for its name
_NAMES = 150.0  # units left of the bars of a run
_DIRECTIONS = {"": BLUE, "forward": ORANGE, "backward": GREEN}


@dataclass(frozen=True)
class Part:
    """A stretch of a step."""

    name: str
    cycles: float
    colour: str
    note: str


def step_parts(run: Run, direction: str) -> list[Part]:
    """The mean step of ``direction``, from the first issue of its words to that of the next."""
    split = step_split(run, direction)
    issuing = split.multiply + split.row_limit + split.stall
    return [
        Part("multiply", issuing, BLUE, "a cycle for every 4 rows"),
        Part("sums", split.sums, ORANGE, "windows, adder trees of the chain"),
        Part("arithmetic", split.arithmetic, GREEN, "requantize, gates, cell, output"),
        Part("flit", split.flit + split.slot, GREY, "and its slot"),
        Part("network", split.network + split.others, RED, "hops to the other row groups"),
        Part("load", split.load, "#CC79A7", "the next step's activations"),
    ]


def paint_step(diagram: Diagram, run: Run) -> None:
    """Fill a diagram of :data:`STEP_SIZE` with a step of the backward direction.

    The forward one where there is no other. Raises SimulationError for a run without two steps.
    """
    present = {chain.direction for chain in run.program.chains if chain.role == "recurrent"}
    direction = "backward" if "backward" in present else "forward"
    parts = step_parts(run, direction)
    total = sum(part.cycles for part in parts)
    wait = parts[1:]
    diagram.text((20, 26), "One step of the LSTM", points=14, bold=True, align="left")
    diagram.note(
        (20, 48),
        f"{run.program.mapping} mapping, {direction}, mean of {total:,.0f} cycles from the first "
        "word of a step to the first word of the next",
        align="left",
    )
    _paint_bar(diagram, parts, 72, _LEFT, _WIDTH / total, labels=False)
    first = _LEFT + _WIDTH * parts[0].cycles / total
    diagram.text(
        ((_LEFT + first) / 2, 72 + _ROW / 2), f"multiply {parts[0].cycles:,.0f}", points=8.5
    )
    waited = sum(part.cycles for part in wait)
    for start, stop in ((first, _LEFT), (_LEFT + _WIDTH, _LEFT + _WIDTH)):
        diagram.arrow((start, 72 + _ROW), (stop, 150), colour=GREY, width=0.8, line=":", head=False)
    _paint_bar(diagram, wait, 150, _LEFT, _WIDTH / waited, labels=True)
    bubble = waited - parts[-1].cycles
    diagram.text(
        (_LEFT, 280),
        f"Between two steps: {bubble:,.0f} cycles and a load of {parts[-1].cycles:,.0f}.",
        align="left",
        bold=True,
    )
    diagram.note(
        (_LEFT, 302),
        f"The MAU paper implies {PAPER_BUBBLE_CYCLES} cycles and a load of 32, fitted to its "
        "0.343 ms; it states no pipeline depth. The stage depths here are choices of ours.",
        align="left",
    )


def _paint_bar(
    diagram: Diagram, parts: list[Part], y: float, left: float, scale: float, *, labels: bool
) -> None:
    x, narrow = left, False
    for part in parts:
        extent = part.cycles * scale
        diagram.box((x, y), (extent, _ROW), fill=tint(part.colour, 0.45), round_by=0, width=0.8)
        if labels:
            narrow = extent < _NARROW and not narrow
            follows = extent < _NARROW and not narrow  # neighbours without room take turns
            y_name = y + _ROW + (52 if follows else 16)
            middle = x + extent / 2
            diagram.arrow(
                (middle, y + _ROW), (middle, y_name - 8), colour=GREY, width=0.7, head=False
            )
            diagram.text((middle, y_name), f"{part.name} {part.cycles:,.1f}", points=8.5, bold=True)
            diagram.note((middle, y_name + 14), part.note, points=7.5)
        x += extent


def run_size(runs: tuple[Run, ...]) -> Point:
    """Units of the picture of ``runs`` below each other."""
    return 1100.0, 20 + sum(54 + _ROW * len(_rows(run)) for run in runs) + 66


def paint_runs(diagram: Diagram, runs: tuple[Run, ...]) -> None:
    """Fill a diagram of :func:`run_size`; all runs to one scale of time."""
    longest = max(run.cycles for run in runs)
    scale = (_WIDTH - _NAMES) / longest
    top = 20.0
    for run in runs:
        _paint_run(diagram, run, top, scale)
        top += 54 + _ROW * len(_rows(run))
    _paint_scale(diagram, runs[0], top, longest, scale)
    x = _LEFT
    for name, direction in (
        ("fully connected", ""),
        ("forward", "forward"),
        ("backward", "backward"),
    ):
        diagram.box((x, top + 42), (16, 12), fill=_DIRECTIONS[direction], round_by=2)
        diagram.note((x + 22, top + 48), name, align="left")
        x += 60 + 6.2 * len(name)
    diagram.note(
        (x, top + 48),
        "a pass is filled from its first word to its last, waits for full FIFOs among them",
        align="left",
    )


def _rows(run: Run) -> dict[str, int]:
    """Name and core of each row: the first tail of every layer, role and direction."""
    rows: dict[str, int] = {}
    letters = {"linear": "", "gate_input": "input", "recurrent": "recurrent"}
    shown: set[int] = set()
    for chain in run.program.chains:
        core = run.program.tasks[chain.tasks[-1]].core
        shared = run.program.mapping == "interleaved"
        parts = (chain.layer, "" if shared else chain.direction, letters[chain.role])
        name = " ".join(part for part in parts if part)
        if name not in rows and core not in shown:
            rows[name] = core
            shown.add(core)
    return rows


def _paint_run(diagram: Diagram, run: Run, top: float, scale: float) -> None:
    config = run.program.config
    title = f"{run.program.mapping.capitalize()} mapping"
    diagram.text((20, top + 8), title, points=12, bold=True, align="left")
    frames = sum(sum(lengths) for lengths in run.waves)
    diagram.note(
        (40 + 10.6 * len(title), top + 9),
        f"{frames} frames in {run.cycles:,} cycles = {1e3 * config.seconds(run.cycles):.3f} ms",
        align="left",
    )
    timeline = core_timeline(run)
    for number, (name, core) in enumerate(_rows(run).items()):
        y = top + 28 + _ROW * number
        diagram.text(
            (_LEFT + _NAMES - 10, y + 9), name.replace("layer", "layer "), points=7.5, align="right"
        )
        _paint_slices(diagram, run, timeline[core], y, scale)


def _paint_slices(diagram: Diagram, run: Run, slices: list[Slice], y: float, scale: float) -> None:
    """Bars of a core, in the colour of the direction that it works for."""
    left = _LEFT + _NAMES
    for direction, colour in _DIRECTIONS.items():
        bars = [
            (left + start * scale, (stop - start) * scale)
            for start, stop in busy_passes(run, slices, direction)
        ]
        diagram.axes.broken_barh(bars, (y, 18), facecolor=colour, linewidth=0, snap=False)
    diagram.box((left, y), (run.cycles * scale, 18), fill="none", edge=GREY, width=0.5, round_by=0)


def busy_passes(run: Run, slices: list[Slice], direction: str) -> list[tuple[int, int]]:
    """First and last cycle of each pass of ``direction``, from its first word to its last."""
    busy: list[tuple[int, int]] = []
    for part in slices:
        if part.state not in ("multiply", "row_limit", "stall") or part.chain is None:
            continue
        if run.program.chains[part.chain].direction != direction:
            continue
        if busy and busy[-1][1] == part.start:
            busy[-1] = busy[-1][0], part.stop
        else:
            busy.append((part.start, part.stop))
    return busy


def _paint_scale(diagram: Diagram, run: Run, y: float, longest: int, scale: float) -> None:
    """An axis in cycles and milliseconds."""
    left = _LEFT + _NAMES
    diagram.arrow((left, y), (left + longest * scale, y), head=False, width=0.8)
    step = 10_000 if longest > 20_000 else max(1, round(longest / 5, -2))
    for cycle in range(0, longest, int(step)):
        x = left + cycle * scale
        diagram.arrow((x, y), (x, y + 5), head=False, width=0.8)
        milliseconds = 1e3 * run.program.config.seconds(cycle)
        diagram.note((x, y + 16), f"{cycle:,}", points=7.5, colour=INK)
        diagram.note((x, y + 28), f"{milliseconds:.3g} ms", points=7)
