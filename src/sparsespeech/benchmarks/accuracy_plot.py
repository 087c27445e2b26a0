"""The picture of ``bench accuracy``: Table III, what each step costs, equal nonzeros.

Hatches and markers tell apart what colours do, so nothing is lost in grey.
"""

from __future__ import annotations

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
_BAR = 0.8 / len(_LOOKS)
_MOST_GROUPS_OF_HALF = 2  # more groups of bars take the whole width
_HEADROOM = 1.35  # for values and legend above the bars


def draw_accuracy(result: BenchResult, figure: Figure) -> None:
    """One panel for each part that was measured: rows, differences, the curve."""
    parts: list[Callable[[BenchResult, Axes], None]] = []
    if result.table("medians"):
        parts += [_draw_rows, _draw_differences]
    if result.table("equal nonzeros"):
        parts.append(_draw_curve)
    if not parts:
        parts.append(_draw_single)
    layouts = {1: [["0"]], 2: [["0", "1"]], 3: [["0", "1"], ["2", "2"]]}
    layout = layouts[len(parts)]
    if len(_groups(result.table("medians"))) > _MOST_GROUPS_OF_HALF:
        layout = [["0", "0"], ["1", "2" if len(parts) > 2 else "1"]]
    figure.set_size_inches(10, 4.5 * len(layout))
    axes = figure.subplot_mosaic(layout)
    for number, part in enumerate(parts):
        part(result, axes[str(number)])


def _draw_rows(result: BenchResult, axes: Axes) -> None:
    """Bars of the medians with a dot a seed."""
    medians = result.table("medians")
    groups = _groups(medians)
    highest = 0.0
    for place, ((weights, arithmetic), (colour, hatch, label)) in enumerate(_LOOKS.items()):
        for number, (corpus, decoder) in enumerate(groups):
            table = corpus if decoder == "greedy" else f"{corpus}, {decoder}"
            wanted = {"weights": weights, "arithmetic": arithmetic}
            (middle,) = _select(medians, corpus=corpus, decoder=decoder, **wanted)
            seeds = [row["wer"] for row in _select(result.table(table), **wanted)]
            x = number + (place - (len(_LOOKS) - 1) / 2) * _BAR
            axes.bar(x, middle["wer"], width=_BAR * 0.94, color=colour, hatch=hatch,
                     edgecolor="white", linewidth=0,
                     label=label if number == 0 else None)  # fmt: skip
            if len(seeds) > 1:
                axes.plot([x] * len(seeds), seeds, color="black", marker="o", markersize=3,
                          linestyle="none")  # fmt: skip
            axes.annotate(f"{middle['wer']:.2f}", (x, max(seeds)), ha="center", va="bottom",
                          fontsize=8, xytext=(0, 3), textcoords="offset points")  # fmt: skip
            highest = max(highest, *seeds)
    axes.set_xticks(range(len(groups)), [_name(*group) for group in groups])
    axes.grid(visible=False, axis="x")
    axes.set_axisbelow(True)
    axes.set_ylabel("word error rate (%)")
    axes.set_ylim(0, highest * _HEADROOM)
    sparsity = max(row["sparsity"] for row in medians)
    dots = ", a dot a seed" if any(row["seeds"] > 1 for row in medians) else ""
    axes.set_title(f"Medians{dots}; sparse: {sparsity:.1%}")
    axes.legend(ncols=2, fontsize=8, loc="upper left")


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
