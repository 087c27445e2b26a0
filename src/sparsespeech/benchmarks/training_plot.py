"""The picture of ``bench training``: speedup over the best way of torch, and the whole step."""

from __future__ import annotations

from typing import Any

from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.training import CONTENDERS, OURS, OURS_SPARSE, TORCH
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

Axes = Any  # of matplotlib, imported when a picture is drawn
# Colour, line and marker: each alone tells the contenders apart.
_LOOKS = {
    OURS_SPARSE: (GREEN, "-", "D"),
    OURS: (BLUE, "-", "o"),
    "nn_lstm_bf16": (ORANGE, "--", "s"),
    "nn_lstm_fp32": (GREY, ":", "^"),
    "nn_lstm_packed": (RED, "-.", "v"),
}
_TICKS = tuple(step * 10.0**power for power in range(-3, 6) for step in (1, 2, 5))


def draw_training(result: BenchResult, left: Axes, right: Axes) -> None:
    """The LSTM layer by width left, the whole training step right; audio trained in an hour."""
    _draw_layer(result, left)
    _draw_model(result, right)


def _draw_layer(result: BenchResult, axes: Axes) -> None:
    widths = result.config["widths"]
    rows = result.table("layer")
    for name, (colour, line, marker) in _LOOKS.items():
        rates = [row["audio_hours_per_hour"] for row in rows if row["name"] == name]
        axes.plot(widths, rates, color=colour, linestyle=line, marker=marker, markersize=5,
                  label=CONTENDERS[name].title)  # fmt: skip
    for row in rows:
        if row["name"] in (OURS, OURS_SPARSE):
            place = (row["width"], row["audio_hours_per_hour"])
            above = row["name"] == OURS_SPARSE  # so that no figure stands on the other line
            axes.annotate(f"{row['speedup']:.1f}×", place, xytext=(0, 6 if above else -6),
                          ha="center", va="bottom" if above else "top",
                          textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="cells of one direction",
             ylabel="hours of audio in an hour")  # fmt: skip
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.margins(x=0.08, y=0.15)
    low, high = axes.get_ylim()
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_title("LSTM layer, forward and backward; × the best of torch")
    axes.legend(loc="lower left", fontsize=8)


def _draw_model(result: BenchResult, axes: Axes) -> None:
    rows = {row["name"]: row for row in result.table("model")}
    for place, name in enumerate(CONTENDERS):
        row, hatch = rows[name], "//" if name in TORCH else ""
        axes.barh(place, row["median_ms"], color=_LOOKS[name][0], hatch=hatch, edgecolor="white",
                  linewidth=0)  # fmt: skip
        said = f"{row['median_ms']:,.0f} ms, {row['speedup']:.2f}×"
        axes.annotate(said, (row["p90_ms"], place), xytext=(5, 0), textcoords="offset points",
                      va="center", fontsize=9)  # fmt: skip
        below, above = row["median_ms"] - row["p10_ms"], row["p90_ms"] - row["median_ms"]
        axes.errorbar(row["median_ms"], place, xerr=[[max(0.0, below)], [max(0.0, above)]],
                      fmt="none", ecolor="black", capsize=2)  # fmt: skip
    axes.set_yticks(range(len(CONTENDERS)), [each.title for each in CONTENDERS.values()])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlim(0, max(row["p90_ms"] for row in rows.values()) * 1.6)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel("ms, median and 10-90 %")
    axes.set_title(f"Whole step of DeepSpeech, width {result.config['figure_width']}")
