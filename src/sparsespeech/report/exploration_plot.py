"""The picture of ``explore``: latency against multipliers, and against weight memory.

Colours and markers tell the cores apart, filled ones are the interleaved mapping. The line is the
Pareto front of its own panel: left of it and below it there is nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparsespeech.compiler.exploration import DesignPoint, latency_of, pareto_front
from sparsespeech.errors import MissingDependencyError, ReportError
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED, SETTINGS

Axes = Any  # of matplotlib, imported when a picture is drawn
SUFFIXES = (".png", ".svg", ".pdf")
_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (RED, "D"), ("#CC79A7", "v"), ("#56B4E9", "P"))
_TICKS = tuple(step * 10.0**power for power in range(-4, 7) for step in (1, 1.5, 2, 3, 5, 7))
_LABELS = 5  # points of a front that are named


def check_plot(picture: Path) -> None:
    """Raise MissingDependencyError without matplotlib, ReportError for a path that cannot be."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("pictures need matplotlib: pip install 'sparsespeech[bench]'")
    if picture.suffix not in SUFFIXES:
        raise ReportError(
            f"{picture}: a picture's name ends in {', '.join(SUFFIXES)}, not in {picture.suffix!r}"
        )
    if not picture.parent.is_dir():
        raise ReportError(f"{picture}: there is no folder {picture.parent}; create it first")


def draw_exploration(
    points: Sequence[DesignPoint], picture: Path, *, title: str, simulated: bool
) -> None:
    """Draw ``points`` into ``picture``, which :func:`check_plot` has seen.

    Raises ReportError if the model fits none of them.
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    fitting = [point for point in points if point.milliseconds is not None]
    if not fitting:
        raise ReportError("the model fits no design of the sweep; there is nothing to draw")
    with style.context(SETTINGS):
        figure = Figure(figsize=(11, 5))
        left, right = figure.subplots(1, 2, sharey=True)
        _panel(left, fitting, lambda point: float(point.multipliers), "multipliers")
        _panel(right, fitting, lambda point: point.memory_bits / 1e6, "weight memory (Mbit)")
        source = "by the simulator" if simulated else "by the closed form"
        left.set_ylabel(f"ms for 1 s of speech, {source}")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=8)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        figure.savefig(picture)


def _panel(
    axes: Axes, points: list[DesignPoint], cost: Callable[[DesignPoint], float], name: str
) -> None:
    kinds = sorted({_kind(point) for point in points})
    for number, kind in enumerate(kinds):
        colour, marker = _LOOKS[number % len(_LOOKS)]
        for mapping in ("interleaved", "paper"):
            chosen = [p for p in points if _kind(p) == kind and p.mapping == mapping]
            if chosen:
                lanes, multipliers, clock = kind
                axes.scatter([cost(p) for p in chosen], [latency_of(p) for p in chosen], s=34,
                             marker=marker, edgecolors=colour, linewidths=1.2, zorder=3,
                             facecolors=colour if mapping == "interleaved" else "white",
                             label=f"{lanes} rows, {multipliers} a window, {clock:g} MHz, "
                             f"{mapping}")  # fmt: skip
    front = sorted(pareto_front(points, cost), key=cost)
    steps = [cost(point) for point in front], [latency_of(point) for point in front]
    axes.step(*steps, where="post", color=GREY, linewidth=1.3, zorder=2, label="Pareto front")
    _name_points(axes, front, cost)
    axes.set(xscale="log", yscale="log", xlabel=name)
    axes.margins(0.08)
    _plain_ticks(axes)
    axes.set_title(f"Latency against {name}")


def _kind(point: DesignPoint) -> tuple[int, int, float]:
    config = point.config
    return config.row_lanes, config.multipliers_per_window, config.frequency_mhz


def _name_points(
    axes: Axes, front: list[DesignPoint], cost: Callable[[DesignPoint], float]
) -> None:
    """Cores of a few points of the front, spread evenly over it."""
    if not front:
        return
    count = min(_LABELS, len(front))
    chosen = {round(number * (len(front) - 1) / max(1, count - 1)) for number in range(count)}
    for number in sorted(chosen):
        point = front[number]
        axes.annotate(f"{point.config.cores} cores", (cost(point), latency_of(point)),
                      xytext=(-4, -11), textcoords="offset points", ha="right", fontsize=8,
                      color=GREY)  # fmt: skip


def _plain_ticks(axes: Axes) -> None:
    """Decimal numbers on both logarithmic axes."""
    for low, high, place in (
        (*axes.get_xlim(), axes.set_xticks),
        (*axes.get_ylim(), axes.set_yticks),
    ):
        ticks = [tick for tick in _TICKS if low <= tick <= high]
        place(ticks, [f"{tick:,g}" for tick in ticks])
    axes.minorticks_off()
