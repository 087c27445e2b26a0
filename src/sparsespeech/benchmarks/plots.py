"""One picture for each benchmark, drawn from its result alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparsespeech.benchmarks.accelerator_plots import (
    draw_deepbench_simulated,
    draw_density_simulated,
    draw_latency_simulated,
    draw_mapping,
    draw_throughput_simulated,
)
from sparsespeech.benchmarks.accuracy_plot import draw_accuracy
from sparsespeech.benchmarks.comparison import OURS
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.training_plot import draw_training
from sparsespeech.errors import BenchmarkError, MissingDependencyError
from sparsespeech.report.picture_file import save_figure
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED, SETTINGS

PICTURE_SUFFIXES = (".png", ".svg", ".pdf")
Axes = Any  # of matplotlib, imported when a picture is drawn


def check_picture(picture: Path) -> None:
    """Raise MissingDependencyError without matplotlib, BenchmarkError for an unknown suffix."""
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingDependencyError("pictures need matplotlib: pip install 'sparsespeech[bench]'")
    if picture.suffix not in PICTURE_SUFFIXES:
        raise BenchmarkError(
            f"{picture}: a picture's name ends in {', '.join(PICTURE_SUFFIXES)}, "
            f"not in {picture.suffix!r}"
        )


def draw(result: BenchResult, picture: Path) -> None:
    """Draw ``result`` into ``picture``, which :func:`check_picture` has seen.

    Raises BenchmarkError for a bench without a picture.
    """
    from matplotlib import style
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if result.bench != "accuracy" and result.bench not in _PICTURES:
        raise BenchmarkError(f"bench {result.bench} has no picture; leave out --plot")
    with style.context(SETTINGS):
        room_for_footnote = ConstrainedLayoutEngine(rect=(0, 0.05, 1, 0.95))
        figure = Figure(figsize=(10, 4.5), layout=room_for_footnote)
        if result.bench == "accuracy":
            draw_accuracy(result, figure)  # as many panels as were measured
        else:
            left, right = figure.subplots(1, 2)
            _PICTURES[result.bench](result, left, right)
        figure.text(0.01, 0.01, _footnote(result), fontsize=8, color=GREY)
        save_figure(figure, picture)


def _draw_latency(result: BenchResult, left: Axes, right: Axes) -> None:
    rows = [row for row in result.table("acoustic model") if row["weights"] == "random"]
    bars = [(row["title"], row) for row in rows if row["name"] != "mkl"]
    _time_bars(left, bars, result.table("published"))
    left.set_title(
        f"1 s of audio: DeepSpeech, {result.config['hidden']} wide, "
        f"{result.config['density']:.0%} dense"
    )
    layers = [row for row in result.table("layers") if row["weights"] == "random"]
    right.bar([row["layer"] for row in layers], [row["median_ms"] for row in layers], color=BLUE)
    right.set_ylabel("ms")
    right.set_axisbelow(True)
    right.set_title("Our time by layer")


def _draw_throughput(result: BenchResult, left: Axes, right: Axes) -> None:
    for arrivals, colour in (("together", BLUE), ("spread", GREEN)):
        rows = [row for row in result.table("streams") if row["arrivals"] == arrivals]
        rows.sort(key=lambda row: int(row["streams"]))
        streams, p99 = _columns(rows, "streams", "p99_ms")
        left.plot(streams, p99, marker="o", color=colour, label=f"chunks come {arrivals}")
    left.axhline(result.config["limit_ms"], color=RED, linestyle="--", label="limit")
    left.set(xscale="log", yscale="log", xlabel="live streams", ylabel="p99 of a chunk (ms)")
    left.set_title("Live streams, chunks of 320 ms")
    left.tick_params(axis="x", which="minor", labelbottom=False)  # they would overlap
    left.legend()
    batches = result.table("batches")
    ours = [row for row in batches if row["name"] == OURS]
    right.plot(*_columns(ours, "batch", "effective_tops"), marker="o", color=BLUE, label=OURS)
    peers = [row for row in batches if row["name"] != OURS]
    for row, colour in zip(peers, (ORANGE, GREEN, RED), strict=False):
        right.plot(
            row["batch"], row["effective_tops"], marker="s", color=colour, linestyle="none",
            label=row["title"],
        )  # fmt: skip
    right.set(xscale="log", yscale="log", xlabel="utterances of 1 s in a batch",
              ylabel="dense-equivalent TOPS")  # fmt: skip
    right.tick_params(axis="y", which="minor", labelleft=False)
    right.set_title("Batches")
    right.legend()


def _draw_deepbench(result: BenchResult, left: Axes, right: Axes) -> None:
    counts = sorted({row["vectors"] for row in result.table("product")})
    for axes, count, paper in zip((left, right), counts, result.table("published"), strict=True):
        rows = [row for row in result.table("product") if row["vectors"] == count]
        bars = [(row["title"], row["real_tops"]) for row in rows]
        _value_bars(axes, [*bars, (paper["platform"], paper["real_tops"])], published=1)
        axes.set_xlabel("real TOPS (log scale)")
        axes.set_title(
            f"{result.config['rows']}×{result.config['columns']}, 95 % sparse, N = {count}"
        )


def _draw_density(result: BenchResult, left: Axes, right: Axes) -> None:
    colours = {"sparse": BLUE, "dense": ORANGE, "chosen": GREEN}
    figures = [name for name in result.figures if not name.endswith("_peers")]
    tables = [row["table"] for row in result.rows if "form" in row]
    for axes, table, figure in zip((left, right), dict.fromkeys(tables), figures, strict=True):
        for form, colour in colours.items():
            rows = [row for row in result.table(table) if row["form"] == form]
            style = "--" if form == "chosen" else "-"
            axes.plot(*_columns(rows, "density", "median_ms"), color=colour, linestyle=style,
                      marker="o", markersize=3, label=f"ours, {form}")  # fmt: skip
        for row in result.table(f"{table}, dense int8"):
            if row["name"] != OURS:
                axes.axhline(row["median_ms"], color=GREY, linestyle=":")
                axes.annotate(row["title"], (result.config["densities"][0], row["median_ms"]),
                              color=GREY, fontsize=8, va="bottom")  # fmt: skip
        axes.axvline(result.figures[figure], color=RED, linewidth=1)
        axes.annotate(
            f" {result.figures[figure]:.0%}", (result.figures[figure], 1),
            xycoords=("data", "axes fraction"), color=RED, va="top",
        )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="density (%)", ylabel="ms")
        densities = result.config["densities"]
        axes.set_xticks(densities, [f"{100 * density:g}" for density in densities])
        axes.minorticks_off()
        axes.set_title(table)
        axes.legend(loc="lower right")


def _draw_lstmp(result: BenchResult, left: Axes, right: Axes) -> None:
    for axes, channels in ((left, 1), (right, 32)):
        rows = [row for row in result.table("channels") if row["channels"] == channels]
        bars = [(row["title"], row["median_ms"]) for row in rows]
        published = result.table("published") if channels == 32 else []
        bars += [(f"{row['platform']} (S4)", row["latency_ms"]) for row in published]
        _value_bars(axes, bars, published=len(published))
        axes.set_xlabel("ms for 100 frames (log scale)")
        axes.set_title(f"{channels} channel" + ("s" if channels > 1 else ""))


_PICTURES: dict[str, Callable[[BenchResult, Axes, Axes], None]] = {
    "latency": _draw_latency,
    "throughput": _draw_throughput,
    "deepbench": _draw_deepbench,
    "density": _draw_density,
    "lstmp": _draw_lstmp,
    "training": draw_training,
    "mapping": draw_mapping,
    "latency-simulator": draw_latency_simulated,
    "throughput-simulator": draw_throughput_simulated,
    "deepbench-simulator": draw_deepbench_simulated,
    "density-simulator": draw_density_simulated,
}


def _time_bars(axes: Axes, bars: list[tuple[str, Row]], published: list[Row]) -> None:
    """Medians with whiskers from the 10th to the 90th percentile, then published latencies."""
    values = [(title, float(row["median_ms"])) for title, row in bars]
    values += [(row["platform"], row["latency_ms"]) for row in published]
    ends = [float(row["p90_ms"]) for _, row in bars]
    _value_bars(axes, values, published=len(published), label_places=ends)
    below = [max(0.0, row["median_ms"] - row["p10_ms"]) for _, row in bars]
    above = [max(0.0, row["p90_ms"] - row["median_ms"]) for _, row in bars]
    medians = [row["median_ms"] for _, row in bars]
    axes.errorbar(
        medians, range(len(bars)), xerr=(below, above), fmt="none", ecolor="black", capsize=2
    )
    axes.set_xlabel("ms (log scale), median and 10-90 %")


def _value_bars(
    axes: Axes,
    bars: list[tuple[str, float]],
    *,
    published: int = 0,
    label_places: list[float] | None = None,
) -> None:
    """Horizontal bars, ours first and blue, the last ``published`` grey: others' figures.

    The value stands right of its bar, or right of its place in ``label_places``.
    """
    values = [value for _, value in bars]
    places = label_places or []
    places = [max(value, place) for value, place in zip(values, places, strict=False)]
    places += values[len(places) :]
    measured = len(bars) - published
    axes.barh(
        range(len(bars)),
        values,
        color=[BLUE, *[ORANGE] * (measured - 1), *[GREY] * published],
    )
    axes.set_axisbelow(True)
    axes.grid(visible=False, axis="y")
    axes.set_yticks(range(len(bars)), [title for title, _ in bars])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 3, max(places) * 8)
    for row, (value, place) in enumerate(zip(values, places, strict=True)):
        axes.annotate(_number(value), (place, row), va="center", fontsize=9,
                      xytext=(5, 0), textcoords="offset points")  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _columns(rows: list[Row], *names: str) -> list[list[float]]:
    return [[float(row[name]) for row in rows] for name in names]


def _footnote(result: BenchResult) -> str:
    if result.config.get("backend") == "simulator":
        return f"cycles of {result.config['target']}: the same on every machine; grey: MAU paper"
    processor = str(result.machine["processor"])
    if result.bench == "accuracy":  # threads change no word
        return processor
    grey = result.table("published") and result.bench != "throughput"
    published = "; grey: as published, on other machines" if grey else ""
    threads = result.config["threads"]
    return f"{processor}, {threads} thread{'' if threads == 1 else 's'}{published}"
