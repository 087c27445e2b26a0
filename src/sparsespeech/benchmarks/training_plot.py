"""The picture of ``bench training``: audio trained in an hour against the width."""

from __future__ import annotations

from typing import Any

from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.training import CONTENDERS, OURS, OURS_FLOAT32, OURS_SPARSE
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

Axes = Any  # of matplotlib, imported when a picture is drawn
_LOOKS = {
    OURS: (BLUE, "-"),
    OURS_FLOAT32: (BLUE, ":"),
    OURS_SPARSE: (GREEN, "-"),
    "nn_lstm_bf16": (ORANGE, "-"),
    "nn_lstm_fp32": (ORANGE, ":"),
    "nn_lstm_packed_bf16": (RED, "-"),
    "nn_lstm_packed": (RED, ":"),
}


def draw_training(result: BenchResult, left: Axes, right: Axes) -> None:
    """The LSTM layer left, the whole training step right."""
    widths = result.config["widths"]
    for axes, work, title in (
        (left, "layer", "LSTM layer, forward and backward"),
        (right, "model", "Whole training step of DeepSpeech"),
    ):
        for name, (colour, line) in _LOOKS.items():
            rows = [row for row in result.table(work) if row["name"] == name]
            rates = [row["audio_hours_per_hour"] for row in rows]
            axes.plot(widths, rates, color=colour, linestyle=line, marker="o", markersize=3,
                      label=CONTENDERS[name].title)  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="cells of one direction",
                 ylabel="hours of audio in an hour")  # fmt: skip
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.minorticks_off()
        axes.axvline(result.config["figure_width"], color=GREY, linewidth=0.5)
        axes.set_title(title)
    right.legend(loc="lower left", fontsize=8)
