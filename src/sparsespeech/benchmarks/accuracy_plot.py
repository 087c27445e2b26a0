"""The picture of ``bench accuracy``: Table III, what each step costs, equal nonzeros.

Hatches and markers tell apart what colours do, so nothing is lost in grey.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from sparsespeech.benchmarks.accuracy_differences import BY_SEED, COMPARED, MEANS
from sparsespeech.benchmarks.accuracy_published import table_iii_loss
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

Axes = Any  # of matplotlib, imported when a picture is drawn
Figure = Any
# Colour, hatch and name of each row of Table III.
_LOOKS = {
    ("dense", "float"): (ORANGE, "", "dense, float"),
    ("dense", "int8"): (RED, "//", "dense, int8"),
    ("sparse", "float"): (GREEN, "..", "sparse, float"),
    ("sparse", "int8"): (BLUE, "xx", "sparse, int8"),
}
_FAMILIES = {"dense small": (ORANGE, "--", "s"), "sparse large": (BLUE, "-", "o")}
_MEGABYTES = tuple(step * 10.0**power for power in range(-3, 4) for step in (1, 2, 5))
_HEADROOM = 1.35  # for values and legend above the bars


def draw_accuracy(result: BenchResult, figure: Figure) -> None:
    """One panel for each part that was measured: rows of each test set, differences, the curve."""
    groups = _groups(result.table("medians"))
    below: list[Callable[[BenchResult, Axes], None]] = []
    if groups:
        below.append(_draw_differences)
    if result.table("equal nonzeros"):
        below.append(_draw_curve)
    if not below:
        below.append(_draw_single)
    rows = [[f"rows {number}" for number in range(len(groups))]] if groups else []
    rows.append([f"below {number}" for number in range(len(below))])
    figure.set_size_inches(10, 4.5 * len(rows))
    axes = figure.subplot_mosaic(_same_widths(rows))
    for number, group in enumerate(groups):  # levels of test sets differ too much for one axis
        _draw_rows(result, group, axes[f"rows {number}"], with_names=number == 0)
    for number, part in enumerate(below):
        part(result, axes[f"below {number}"])


def _same_widths(rows: list[list[str]]) -> list[list[str]]:
    """The rows of a mosaic with panels repeated until all rows are as long."""
    width = math.lcm(*(len(row) for row in rows))
    return [[panel for panel in row for _ in range(width // len(row))] for row in rows]


def _draw_rows(
    result: BenchResult, group: tuple[str, str], axes: Axes, *, with_names: bool
) -> None:
    """Bars of the medians of one corpus and decoder, with a dot a seed."""
    corpus, decoder = group
    medians = _select(result.table("medians"), corpus=corpus, decoder=decoder)
    table = corpus if decoder == "greedy" else f"{corpus}, {decoder}"
    highest = 0.0
    for place, ((weights, arithmetic), (colour, hatch, label)) in enumerate(_LOOKS.items()):
        wanted = {"weights": weights, "arithmetic": arithmetic}
        (middle,) = _select(medians, **wanted)
        seeds = [row["wer"] for row in _select(result.table(table), **wanted)]
        name = label if weights == "dense" else f"{middle['sparsity']:.1%} {label}"
        axes.bar(place, middle["wer"], width=0.9, color=colour, hatch=hatch,
                 edgecolor="white", linewidth=0, label=name)  # fmt: skip
        if len(seeds) > 1:
            axes.plot([place] * len(seeds), seeds, color="black", marker="o", markersize=3,
                      linestyle="none")  # fmt: skip
        axes.annotate(f"{middle['wer']:.2f}", (place, max(seeds)), ha="center", va="bottom",
                      fontsize=8, xytext=(0, 3), textcoords="offset points")  # fmt: skip
        highest = max(highest, *seeds)
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    axes.set_ylim(0, highest * _HEADROOM)
    count = medians[0]["seeds"]
    axes.set_title(_name(*group) + (f", median of {count} seeds" if count > 1 else ""), fontsize=10)
    if with_names:
        axes.set_ylabel("word error rate (%)")
        axes.legend(fontsize=8, loc="upper left")


def _draw_differences(result: BenchResult, axes: Axes) -> None:
    """Mean differences from dense float with their bootstrap intervals, a line a seed."""
    means = [row for row in result.table(MEANS) if row["rate"] == "wer"]
    labels: list[str] = []
    for corpus, decoder in _groups(means):
        for compared in (f"{weights} {arithmetic}" for weights, arithmetic in COMPARED):
            wanted = {"corpus": corpus, "decoder": decoder, "compared": compared}
            (mean,) = _select(means, **wanted)
            weights, arithmetic = compared.split()
            colour = _LOOKS[weights, arithmetic][0]
            seeds = [row["difference"] for row in _select(result.table(BY_SEED), **wanted)
                     if row["rate"] == "wer"]  # fmt: skip
            place = len(labels)
            if len(seeds) > 1:
                axes.plot(seeds, [place] * len(seeds), color=GREY, marker="|", markersize=9,
                          linestyle="none")  # fmt: skip
            axes.errorbar(mean["mean"], place, xerr=_ends(mean, "mean"), color=colour, marker="o",
                          capsize=3)  # fmt: skip
            loss = table_iii_loss(weights, arithmetic)
            axes.plot(loss, place, color="black", marker="x", linestyle="none", zorder=3)
            axes.annotate(f"{mean['mean']:+.2f}", (mean["mean"], place), ha="center", va="bottom",
                          fontsize=8, xytext=(0, 6), textcoords="offset points")  # fmt: skip
            labels.append(f"{_name(corpus, decoder)}: {compared}")
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("points of WER, mean with 95 % interval")
    dots = ", a line a seed" if any(row["seeds"] > 1 for row in means) else ""
    axes.set_title(f"Less dense float{dots}; ×: S2, Table III")


def _draw_curve(result: BenchResult, axes: Axes) -> None:
    """Word error rate against the bytes of the model, int8; sizes on a log axis."""
    rows = result.table("equal nonzeros")
    for family, (colour, line, marker) in _FAMILIES.items():
        found = sorted(_select(rows, family=family), key=lambda row: float(row["bytes_coded"]))
        sizes = [row["bytes_coded"] / 1e6 for row in found]
        rates = [row["wer"] for row in found]
        whiskers = tuple(zip(*(_ends(row, "wer", "wer_") for row in found), strict=True))
        below, above = ([value for (value,) in side] for side in whiskers)
        axes.errorbar(sizes, rates, yerr=(below, above), color=colour, marker=marker, capsize=3,
                      linestyle=line, elinewidth=0.8, label=family)  # fmt: skip
        below_all = family == "sparse large"  # names at the outer ends of the whiskers
        for row, size in zip(found, sizes, strict=True):
            axes.annotate(row["label"], (size, row["wer_low" if below_all else "wer_high"]),
                          xytext=(0, -3 if below_all else 3), va="top" if below_all else "bottom",
                          ha="center", textcoords="offset points", fontsize=8)  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.12)  # room for the outer names
    low, high = axes.get_xlim()
    ticks = [size for size in _MEGABYTES if low <= size <= high]
    axes.set_xticks(ticks, [f"{size:g}" for size in ticks])
    axes.minorticks_off()
    axes.set(
        xlabel="Huffman-coded model (MB, log scale)", ylabel="word error rate (%), 95 % interval"
    )
    axes.set_title("Small and dense, large and sparse; int8")
    axes.legend()


def _draw_single(result: BenchResult, axes: Axes) -> None:
    """Runs without a partner: single runs of the corpora, and what was tried."""
    rows = [(f"{row['table'].split(',')[0]}: {row['run']}, {row['arithmetic']}", row)
            for row in result.rows if "run" in row and "wer_low" in row]  # fmt: skip
    rows += [(str(row["label"]), row) for row in result.table("tried")]
    for place, (_, row) in enumerate(rows):
        axes.errorbar(row["wer"], place, xerr=_ends(row, "wer", "wer_"), color=BLUE, marker="o",
                      capsize=3)  # fmt: skip
    axes.set_yticks(range(len(rows)), [label for label, _ in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("word error rate (%), 95 % interval")
    axes.set_title("Single runs")


def _ends(row: Row, middle: str, prefix: str = "") -> list[list[float]]:
    """Lengths of both whiskers, as errorbar takes them."""
    value, low, high = row[middle], row[f"{prefix}low"], row[f"{prefix}high"]
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def _groups(rows: list[Row]) -> list[tuple[str, str]]:
    """Corpora and decoders in their order."""
    return list(dict.fromkeys((row["corpus"], row["decoder"]) for row in rows))


def _name(corpus: str, decoder: str) -> str:
    return corpus if decoder == "greedy" else f"{corpus}, LM"


def _select(rows: list[Row], **wanted: str) -> list[Row]:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]
