"""The picture of ``bench accuracy``: Table III left, equal nonzeros or differences right."""

from __future__ import annotations

from typing import Any

from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

Axes = Any  # of matplotlib, imported when a picture is drawn
_LOOKS = {
    ("dense", "float"): (ORANGE, "dense, float"),
    ("dense", "int8"): (RED, "dense, int8"),
    ("sparse", "float"): (GREEN, "sparse, float"),
    ("sparse", "int8"): (BLUE, "sparse, int8"),
}
_MEGABYTES = tuple(step * 10.0**power for power in range(-3, 4) for step in (1, 2, 5))
_BAR = 0.8 / len(_LOOKS)


def draw_accuracy(result: BenchResult, left: Axes, right: Axes) -> None:
    """Medians with a dot a seed; then the curve, or the paired differences where there is none."""
    _draw_rows(result, left)
    if result.table("equal nonzeros"):
        _draw_curve(result.table("equal nonzeros"), right)
    else:
        _draw_differences(result, right)


def _draw_rows(result: BenchResult, axes: Axes) -> None:
    medians = result.table("medians")
    corpora = list(dict.fromkeys((row["corpus"], row["decoder"]) for row in medians))
    for place, ((weights, arithmetic), (colour, label)) in enumerate(_LOOKS.items()):
        for number, (corpus, decoder) in enumerate(corpora):
            table = corpus if decoder == "greedy" else f"{corpus}, {decoder}"
            wanted = {"weights": weights, "arithmetic": arithmetic}
            (middle,) = _select(medians, corpus=corpus, decoder=decoder, **wanted)
            seeds = [row["wer"] for row in _select(result.table(table), **wanted)]
            x = number + (place - (len(_LOOKS) - 1) / 2) * _BAR
            axes.bar(x, middle["wer"], width=_BAR, color=colour, alpha=0.75,
                     label=label if number == 0 else None)  # fmt: skip
            axes.plot([x] * len(seeds), seeds, color="black", marker="o", markersize=3,
                      linestyle="none")  # fmt: skip
            axes.annotate(f"{middle['wer']:.2f}", (x, max(seeds)), ha="center", va="bottom",
                          fontsize=8 if len(corpora) < 3 else 7, xytext=(0, 3),
                          textcoords="offset points")  # fmt: skip
    axes.set_xticks(range(len(corpora)), [c if d == "greedy" else f"{c},\n{d}" for c, d in corpora])
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    axes.set_ylabel("word error rate (%)")
    sparsity = max((row["sparsity"] for row in medians), default=0.0)
    axes.set_title(f"Medians, a dot a seed; sparse: {sparsity:.1%}")
    axes.margins(y=0.25)  # room for the legend
    axes.legend(ncols=2, fontsize=8, loc="upper left")


def _draw_curve(rows: list[Row], axes: Axes) -> None:
    for family, colour in (("dense small", ORANGE), ("sparse large", BLUE)):
        found = sorted(_select(rows, family=family), key=lambda row: float(row["bytes_smallest"]))
        sizes = [row["bytes_smallest"] / 1e6 for row in found]
        rates = [row["wer"] for row in found]
        below = [row["wer"] - row["wer_low"] for row in found]
        above = [row["wer_high"] - row["wer"] for row in found]
        axes.errorbar(sizes, rates, yerr=(below, above), color=colour, marker="o", capsize=2,
                      elinewidth=0.8, label=family)  # fmt: skip
        for row, size in zip(found, sizes, strict=True):
            axes.annotate(row["label"], (size, row["wer"]), xytext=(4, 4), color=colour,
                          textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.12)  # room for the last label
    low, high = axes.get_xlim()
    ticks = [size for size in _MEGABYTES if low <= size <= high]
    axes.set_xticks(ticks, [f"{size:g}" for size in ticks])
    axes.minorticks_off()
    axes.set(xlabel="stored model (MB, log scale)", ylabel="word error rate (%)")
    axes.set_title("Small and dense against large and sparse, int8")
    axes.legend()


def _draw_differences(result: BenchResult, axes: Axes) -> None:
    rows = _select(result.table("differences: sparse int8 less dense float"), rate="wer")
    bars: list[tuple[str, float, float, float, str]] = [
        (
            f"{row['corpus']}{_suffix(row['decoder'], ', LM')}, seed {row['seed']}",
            row["difference"], row["low"], row["high"], GREY,
        )
        for row in rows
    ]  # fmt: skip
    for corpus, decoder in dict.fromkeys((row["corpus"], row["decoder"]) for row in rows):
        suffix = _suffix(decoder, "_lm")
        mean, low, high = (
            result.figures[f"{corpus}_drop{part}{suffix}"] for part in ("", "_low", "_high")
        )
        bars.append((f"{corpus}{_suffix(decoder, ', LM')}, mean", mean, low, high, BLUE))
    for number, (_, mean, low, high, colour) in enumerate(bars):
        axes.errorbar(mean, number, xerr=[[mean - low], [high - mean]], color=colour, marker="o",
                      capsize=3)  # fmt: skip
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(bars)), [label for label, *_ in bars])
    axes.invert_yaxis()
    axes.set_xlabel("points of WER, 95 % interval")
    axes.set_title("Sparse int8 less dense float")


def _suffix(decoder: str, text: str) -> str:
    return "" if decoder == "greedy" else text


def _select(rows: list[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]
