"""Word error rate against sparsity: from a file of measured points, or from a run's own log.

A file of points is JSON: the result of ``sparsespeech bench accuracy``, the output of
``sparsespeech evaluate --json``, or ``{"points": [{"sparsity": 0.9, "wer": 12.5}]}``. A point
needs "sparsity" (0 to below 1) and "wer" (per cent); "wer_low" and "wer_high" are its interval,
"series" names the curve that it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsespeech.errors import ReportError
from sparsespeech.report.html import Markup
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Axes, Figure, draw_picture
from sparsespeech.report.run_course import RunCourse
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED
from sparsespeech.training.log_file import is_number

_LISTS = ("points", "rows", "models")  # where the points stand in the known files
_MEDIANS, _SINGLE_RUNS = "medians", ", single runs"  # tables of ``bench accuracy``
_EQUAL_NONZEROS, _SPARSE_FAMILY = "equal nonzeros", "sparse large"  # another, and half of it
_LANGUAGE_MODEL = "language model"
_SERIES_KEYS = ("series", "corpus", "decoder", "arithmetic")
_STYLES = (
    (BLUE, "o", "-"), (ORANGE, "s", "--"), (GREEN, "^", "-."), (RED, "D", ":"), (GREY, "v", "-"),
)  # fmt: skip
_TICKS = (0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995)
_SIZE = (6.4, 4.0)  # inches


@dataclass(frozen=True)
class Point:
    """One measured network: sparsity 0 to 1, word error rate and its interval in per cent."""

    series: str
    sparsity: float
    wer: float
    interval: tuple[float, float] | None


def read_points(path: Path, sparsity_of: Callable[[str], float | None]) -> list[Point]:
    """The points of the JSON file at ``path``, by series and sparsity.

    ``sparsity_of`` finds the sparsity of an entry that names its "model" but says none. Raises
    ReportError for a file that cannot be read or holds no point.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{path}: cannot read the points: {error}") from None
    entries: list[Any] = content if isinstance(content, list) else []
    if isinstance(content, dict):
        entries = next((content[key] for key in _LISTS if isinstance(content.get(key), list)), [])
    entries = [entry for entry in entries if isinstance(entry, dict)]
    if any("table" in entry for entry in entries):
        entries = _accuracy_entries(entries)
    found = [_point(entry, sparsity_of) for entry in entries]
    points = [point for point in found if point is not None]
    if not points:
        raise ReportError(
            f"{path}: holds no point with 'sparsity' (0 to 1) and 'wer' (per cent); give the "
            f"result of 'bench accuracy' or 'evaluate --json', or {{\"points\": [...]}}"
        )
    return sorted(points, key=lambda point: (point.series, point.sparsity, point.wer))


def course_points(course: RunCourse) -> list[Point]:
    """Development error rates of a run at the sparsity of their steps, from the ramp's start.

    A dense run, and the dense part before the ramp but for its last measurement, say nothing
    about sparsity and are left out.
    """
    if course.ramp is None or not len(course.development_wer):
        return []
    points = []
    for step, wer in zip(course.development_wer.steps, course.development_wer.values, strict=True):
        known = course.sparsity.values[course.sparsity.steps <= step]
        points.append(Point("development", float(known[-1]) if known.size else 0.0, wer, None))
    dense = [place for place, point in enumerate(points) if point.sparsity == 0.0]
    return points[dense[-1] if dense else 0 :]


def sparsity_curve(points: Sequence[Point]) -> Markup:
    """The curve of each series; error bars are the intervals of the file."""
    names = list(dict.fromkeys(point.series for point in points))

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, name in enumerate(names):
            _paint_series(axes, [point for point in points if point.series == name], place)
        _label_axes(axes, [point.sparsity for point in points], "WER (%)")
        if names != [""]:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3)

    picture = draw_picture(paint, "Word error rate against sparsity", _SIZE)
    intervals = any(point.interval for point in points)
    return captioned(
        picture,
        f"{len(points)} measured network{'s' if len(points) > 1 else ''}."
        + (" Bars: the intervals given in the file." if intervals else ""),
        wide=True,
    )


def course_curve(points: Sequence[Point]) -> Markup:
    """The path of one run: up the ramp, then down while the sparse network is retrained."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        x, y = [1 - point.sparsity for point in points], [point.wer for point in points]
        axes.plot(x, y, color=BLUE, marker="o", markersize=4, linewidth=1.2)
        below = -10 if y[-1] > 0.1 * max(y) else 4  # not on the numbers of the axis
        for text, place, offset in (("start", 0, 4), ("end", -1, below)):
            axes.annotate(f"{text}: {y[place]:.1f}", (x[place], y[place]), xytext=(6, offset),
                          textcoords="offset points")  # fmt: skip
        _label_axes(axes, [point.sparsity for point in points], "development WER (%)")

    picture = draw_picture(paint, "Development word error rate against sparsity in the run", _SIZE)
    return captioned(
        picture,
        "The path of this run in time: points at one sparsity are retraining at that sparsity.",
        wide=True,
    )


def _paint_series(axes: Axes, points: Sequence[Point], place: int) -> None:
    colour, marker, line = _STYLES[place % len(_STYLES)]
    x, y = [1 - point.sparsity for point in points], [point.wer for point in points]
    axes.plot(x, y, color=colour, marker=marker, linestyle=line, markersize=5,
              label=points[0].series)  # fmt: skip
    for at, point in zip(x, points, strict=True):
        if point.interval is not None:
            axes.vlines(at, *point.interval, color=colour, linewidth=1, alpha=0.6)


def _label_axes(axes: Axes, sparsities: Sequence[float], error: str) -> None:
    """Sparsities at even ratios of the nonzeros left, or 90 % and 96 % would be one point."""
    least, most = 1 - min(sparsities), 1 - max(sparsities)
    axes.set_xscale("log")
    axes.set_xlim(least * 1.15, most / 1.5)
    ticks = [tick for tick in _TICKS if most / 1.5 <= 1 - tick <= least * 1.15]
    axes.set_xticks([1 - tick for tick in ticks], [f"{100 * tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("sparsity (%), by the logarithm of the nonzeros left")
    axes.set_ylim(0, max(1.0, 1.08 * axes.get_ylim()[1]))
    axes.set_ylabel(error)


def _point(entry: dict[str, Any], sparsity_of: Callable[[str], float | None]) -> Point | None:
    """The point of an entry; None for one that measures something else."""
    sparsity, wer = _number(entry.get("sparsity")), _number(entry.get("wer"))
    if sparsity is None and wer is not None and isinstance(entry.get("model"), str):
        sparsity = sparsity_of(entry["model"])
    if sparsity is None or wer is None or not 0 <= sparsity < 1 or wer < 0:
        return None
    low, high = _number(entry.get("wer_low")), _number(entry.get("wer_high"))
    series = ", ".join(str(entry[key]) for key in _SERIES_KEYS if isinstance(entry.get(key), str))
    interval = (low, high) if low is not None and high is not None else None
    return Point(series, sparsity, wer, interval)


def _accuracy_entries(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``bench accuracy`` measured: medians over the seeds with the single runs, by corpus.

    The large sparse networks of its equal nonzeros are a curve of their own. Left out are single
    seeds, for which the medians stand, what was tried, and rows with a "source": those are the
    figures of other authors.
    """
    found = []
    for row in rows:
        table, arithmetic = str(row.get("table")), row.get("arithmetic")
        if "source" in row:
            continue
        if table == _MEDIANS:
            series = str(row.get("corpus"))
            if row.get("decoder") == _LANGUAGE_MODEL:
                series += f", {_LANGUAGE_MODEL}"
        elif table.endswith(_SINGLE_RUNS):
            series = table.removesuffix(_SINGLE_RUNS)
        elif table == _EQUAL_NONZEROS and row.get("family") == _SPARSE_FAMILY:
            series, arithmetic = _SPARSE_FAMILY, "int8"  # the bench measures no other
        else:
            continue
        point = {key: row.get(key) for key in ("sparsity", "wer", "wer_low", "wer_high")}
        found.append({**point, "series": f"{series}, {arithmetic}"})
    return found


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None
