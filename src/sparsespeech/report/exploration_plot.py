"""The picture of ``explore``: latency against multipliers, and against weight memory.

Colours and markers tell the kinds of cores apart, filled ones are the interleaved mapping. The line
is the Pareto front of its own panel: left of it and below it there is nothing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparsespeech.compiler.exploration import DesignPoint, latency_of, pareto_front
from sparsespeech.errors import MissingDependencyError, ReportError
from sparsespeech.report.picture_file import save_figure
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED, SETTINGS

Axes = Any  # of matplotlib, imported when a picture is drawn
SUFFIXES = (".png", ".svg", ".pdf")
_LOOKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (RED, "D"), ("#CC79A7", "v"), ("#56B4E9", "P"))
_DECADES = range(-4, 7)
_COST_TICKS = tuple(step * 10.0**power for power in _DECADES for step in (1, 2, 5))
_TIME_TICKS = tuple(step * 10.0**power for power in _DECADES for step in (1, 1.5, 2, 3, 4, 5, 7))
_BEATEN = 0.4  # opacity of designs that the front leaves behind
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
        figure = Figure(figsize=(11, 5.4))
        left, right = figure.subplots(1, 2, sharey=True)
        _panel(left, fitting, lambda point: float(point.multipliers), "multipliers")
        _panel(right, fitting, lambda point: point.memory_bits / 1e6, "weight memory (Mbit)")
        source = "by the simulator" if simulated else "by the closed form"
        left.set_ylabel(f"ms for 1 s of speech, {source}")
        figure.legend(handles=_legend(sorted({_kind(point) for point in fitting})), ncols=4,
                      loc="outside lower center", fontsize=9)  # fmt: skip
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        save_figure(figure, picture)


def _panel(
    axes: Axes, points: list[DesignPoint], cost: Callable[[DesignPoint], float], name: str
) -> None:
    front = sorted(pareto_front(points, cost), key=cost)
    kinds = sorted({_kind(point) for point in points})
    for point in points:
        colour, marker = _LOOKS[kinds.index(_kind(point)) % len(_LOOKS)]
        best = point in front
        axes.scatter(cost(point), latency_of(point), s=64 if best else 30, marker=marker,
                     edgecolors=colour, linewidths=1.3, alpha=1.0 if best else _BEATEN,
                     facecolors=colour if point.mapping == "interleaved" else "white",
                     zorder=4 if best else 3)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel=name)
    axes.margins(0.12)
    steps = [cost(point) for point in front], [latency_of(point) for point in front]
    right = axes.get_xlim()[1]
    axes.step([*steps[0], right], [*steps[1], steps[1][-1]], where="post", color=GREY,
              linewidth=1.3, zorder=2)  # fmt: skip
    axes.set_xlim(right=right)
    _name_points(axes, front, cost)
    _plain_ticks(axes)
    axes.set_title(f"Latency against {name}")


def _legend(kinds: list[tuple[int, int, float]]) -> list[Any]:
    """A marker for each kind of core, the two mappings, and the line."""
    from matplotlib.lines import Line2D

    clocks = {clock for _, _, clock in kinds}
    entries = []
    for number, (lanes, multipliers, clock) in enumerate(kinds):
        colour, marker = _LOOKS[number % len(_LOOKS)]
        label = f"{lanes} row lanes, {multipliers} multipliers a window"
        if len(clocks) > 1:
            label += f", {clock:g} MHz"
        entries.append(Line2D([], [], color=colour, marker=marker, linestyle="none", label=label))
    for label, fill in (("interleaved mapping", GREY), ("paper's mapping", "white")):
        entries.append(Line2D([], [], color=GREY, marker="o", markerfacecolor=fill,
                              linestyle="none", label=label))  # fmt: skip
    return [*entries, Line2D([], [], color=GREY, label="Pareto front, cores named")]


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
                      xytext=(-6, -6), textcoords="offset points", ha="right", va="top", fontsize=8,
                      color="black")  # fmt: skip


def _plain_ticks(axes: Axes) -> None:
    """Decimal numbers on both logarithmic axes."""
    for low, high, ticks, place in (
        (*axes.get_xlim(), _COST_TICKS, axes.set_xticks),
        (*axes.get_ylim(), _TIME_TICKS, axes.set_yticks),
    ):
        shown = [tick for tick in ticks if low <= tick <= high]
        place(shown, [f"{tick:,g}" for tick in shown])
    axes.minorticks_off()
