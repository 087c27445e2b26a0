"""Pictures of the accelerator's benchmarks, beside the figures of the MAU paper (S2)."""

from __future__ import annotations

from typing import Any

from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.report.style import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, RED

Axes = Any  # of matplotlib, imported when a picture is drawn
# Colour and marker, or hatch: each alone tells the mappings and patterns apart.
MAPPING_COLOURS = {"paper": BLUE, "interleaved": GREEN}
_PATTERNS = {
    "magnitude": (RED, "D", "trained, pruned by magnitude"),
    "random": (BLUE, "o", "random"),
    "bank-balanced": (GREEN, "s", "bank-balanced"),
}
_CAUSES = {  # of a step, in the order of time; all but the first three are overhead
    "multiply": ("words issue", BLUE),
    "row_limit": ("limit of a row group a cycle", LIGHT_BLUE),
    "stall": ("stall", "#F0E442"),
    "sums": ("sums of the chain", ORANGE),
    "arithmetic": ("gates and cell", "#CC79A7"),
    "network": ("flit, slot, network", GREEN),
    "others": ("other cores", GREY),
    "load": ("load", RED),
}


def draw_mapping(result: BenchResult, left: Axes, right: Axes) -> None:
    """Efficiency of each layer beside the paper's left, cycles a frame of its cores right."""
    rows = [row for row in result.table("layers") if row["mapping"] == "paper"]
    names = [f"{row['layer']}\n{row['cores']} cores" for row in rows]
    places = range(len(rows))
    left.bar([place - 0.2 for place in places], [row["efficiency"] for row in rows], 0.38,
             color=BLUE, label="ours")  # fmt: skip
    if all("paper_efficiency" in row for row in rows):
        left.bar([place + 0.2 for place in places], [row["paper_efficiency"] for row in rows], 0.38,
                 color=GREY, hatch="//", edgecolor="white", label="MAU paper")  # fmt: skip
        left.legend(loc="upper left")
    left.set_xticks(list(places), names)
    left.set_ylabel("% of the cores' dense capacity")
    left.set_title(f"Table II: {result.figures['total_efficiency']:.1f} % of the grid")
    for number, (mapping, colour) in enumerate(MAPPING_COLOURS.items()):
        cycles = [row for row in result.table("layers") if row["mapping"] == mapping]
        shift = 0.4 * number - 0.2
        right.bar([place + shift for place in range(len(cycles))],
                  [row["cycles_per_frame"] for row in cycles], 0.38, color=colour,
                  hatch="" if number == 0 else "..", edgecolor="white", linewidth=0,
                  label=f"{mapping} mapping")  # fmt: skip
    right.set_xticks(list(places), [row["layer"] for row in rows])
    right.set_ylabel("cycles a frame of the busiest core")
    right.set_title(f"{result.figures['effective_tops']:.1f} effective TOPS")
    right.legend(loc="upper left")
    _quiet(left, right)


def draw_latency_simulated(result: BenchResult, left: Axes, right: Axes) -> None:
    """Milliseconds by source left, the cycles of a step by cause right."""
    rows = result.table("latency")
    labels = [row["source"].replace(", ", "\n") for row in rows]
    for place, row in enumerate(rows):
        own = row["source"] != "MAU paper"
        exact = row["source"] == "simulator"
        colour = MAPPING_COLOURS[row["mapping"]] if own else GREY
        left.barh(place, row["ms"], color=colour, alpha=1.0 if exact or not own else 0.45,
                  hatch="" if row["mapping"] == "paper" else "..", edgecolor="white",
                  linewidth=0)  # fmt: skip
        left.annotate(f"{row['ms']:.3f} ms", (row["ms"], place), xytext=(5, 0), va="center",
                      textcoords="offset points", fontsize=9,
                      fontweight="bold" if exact else "normal")  # fmt: skip
    left.set_yticks(range(len(rows)), labels, fontsize=8)
    left.invert_yaxis()
    left.set_xlim(0, max(row["ms"] for row in rows) * 1.25)
    left.set_xlabel("ms for 1 s of speech")
    left.set_title("Table V (green: interleaved)")
    left.grid(visible=False, axis="y")
    left.set_axisbelow(True)
    _draw_steps(result, right)


def _draw_steps(result: BenchResult, axes: Axes) -> None:
    rows = [_merged(row) for row in result.table("cycles of a step")]
    bottoms = [0.0] * len(rows)
    for cause, (label, colour) in _CAUSES.items():
        heights = [row[cause] for row in rows]
        axes.bar(range(len(rows)), heights, 0.62, bottom=bottoms, color=colour, label=label,
                 edgecolor="white", linewidth=0.5)  # fmt: skip
        bottoms = [bottom + height for bottom, height in zip(bottoms, heights, strict=True)]
    for place, row in enumerate(rows):
        axes.annotate(f"{row['total']:,.0f}\n(+{row['overhead']:.0f})", (place, bottoms[place]),
                      xytext=(0, 3), textcoords="offset points", ha="center",
                      fontsize=8)  # fmt: skip
    short = {"paper": "paper", "interleaved": "inter-\nleaved"}
    names = [f"{short[row['mapping']]}\n{row['direction']}" for row in rows]
    axes.set_xticks(range(len(rows)), names, fontsize=8)
    axes.set_xlim(-0.5, 1.7 * len(rows))  # room for the legend
    axes.set_ylim(0, max([*bottoms, 1.0]) * 1.15)
    axes.set_ylabel("cycles from step to step")
    axes.set_title("A step of the LSTM, (+ overhead)")
    axes.legend(fontsize=8, loc="upper right", reverse=True)
    _quiet(axes)


def _merged(row: Row) -> Row:
    return {**row, "network": row["flit"] + row["slot"] + row["network"]}


def draw_throughput_simulated(result: BenchResult, left: Axes, right: Axes) -> None:
    """Effective TOPS by definition left, modelled watts right."""
    bars = [(_stream_label(row), row["effective_tops"], MAPPING_COLOURS[row["mapping"]])
            for row in result.table("streaming")]  # fmt: skip
    for row in result.table("one utterance alone"):
        label = f"{row['mapping']}: operations over latency"
        bars.append((label, row["effective_tops"], ORANGE))
    published = result.table("published")
    bars += [(row["source"], row["effective_tops"], GREY) for row in published[:1]]
    _bars(left, bars, "effective TOPS")
    left.set_title(f"{result.config['utterances_in_flight']} utterances in flight, or one")
    rows = result.table("energy (modelled)")
    powers = [(f"{row['mapping']}: {row['work'].removesuffix(', simulated')}", row["gops_per_watt"],
               MAPPING_COLOURS[row["mapping"]]) for row in rows]  # fmt: skip
    powers += [(row["source"], row["gops_per_watt"], GREY) for row in published[:1]]
    if powers:
        _bars(right, powers, "effective GOPS a watt")
    right.set_title("Modelled power, not measured")


def _stream_label(row: Row) -> str:
    if row["source"] == "simulator":
        return f"{row['mapping']}: simulated"
    return f"{row['mapping']}: loads never hidden"


def draw_deepbench_simulated(result: BenchResult, left: Axes, right: Axes) -> None:
    """Real TOPS left, effective TOPS right."""
    for axes, figure in ((left, "real_tops"), (right, "effective_tops")):
        bars = [(_product_label(row), row[figure], BLUE) for row in result.table("product")]
        bars += [(row["platform"], row[figure], GREY) for row in result.table("published")]
        _bars(axes, bars, figure.replace("_tops", " TOPS"))
    left.set_title(f"Table VI, {result.config['cores']} cores: nonzeros")
    right.set_title("The dense matrix")


def _product_label(row: Row) -> str:
    if row["source"] == "simulator":
        return f"simulated, each core loads\n{row['loads']}"
    return "arithmetic, loads never hidden"


def draw_density_simulated(result: BenchResult, left: Axes, right: Axes) -> None:
    """Cycles a row group of one core left, latency of a trained model's network right.

    The network of the dense model where there is one, with memories that take all its rows.
    """
    dense = result.config.get("dense_model")
    network = "size of the dense model" if dense else "size of the trained model"
    for pattern, (colour, marker, label) in _PATTERNS.items():
        core = [row for row in result.table("one core") if row["pattern"] == pattern]
        if core:
            left.plot(*_by_density(core, "cycles_per_row_group"), color=colour, marker=marker,
                      markersize=5, label=label)  # fmt: skip
        rows = [row for row in result.table(network) if row["pattern"] == pattern]
        for mapping, line in (("paper", "-"), ("interleaved", ":")):
            fitting = [row for row in rows if not isinstance(row[f"ms_{mapping}"], str)]
            right.plot(*_by_density(fitting, f"ms_{mapping}"), color=colour, marker=marker,
                       linestyle=line, markersize=4,
                       label=f"{label}, {mapping}")  # fmt: skip
    left.axhline(1, color=GREY, linewidth=1)
    left.axvline(100 / 16, color=GREY, linestyle=":", linewidth=1)
    left.annotate(" 1 in 16", (100 / 16, 0.98), xycoords=("data", "axes fraction"), color=GREY,
                  fontsize=8, va="top")  # fmt: skip
    for axes in (left, right):
        ticks = [100 * (1 - sparsity) for sparsity in (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)]
        axes.set_xscale("log")
        axes.set_xticks(ticks, ["50", "70", "80", "90", "95", "98"])
        axes.minorticks_off()
        axes.invert_xaxis()  # sparser to the right
        axes.set_xlabel("sparsity (%)")
        axes.legend(fontsize=8, loc="upper right", bbox_to_anchor=(1.0, 0.93))
    left.set(yscale="log", ylabel="cycles a row group")
    left.set_yticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    left.minorticks_off()
    left.set_title(f"One core, {result.config['core']['columns']} columns")
    right.set_ylabel("ms for 1 s of speech")
    right.set_ylim(bottom=0)
    right.set_title(f"Network as large as {result.config['weights']}")
    if dense is not None:
        name = dense["file"].removesuffix(".safetensors")
        right.set_title(f"{name}, memories of {dense['weight_words']:,} words")


def _by_density(rows: list[Row], name: str) -> tuple[list[float], list[float]]:
    return [100 * (1 - row["sparsity"]) for row in rows], [row[name] for row in rows]


def _bars(axes: Axes, bars: list[tuple[str, float, str]], what: str) -> None:
    """Horizontal bars from zero, each with its value; grey ones hatched: published."""
    for place, (_, value, colour) in enumerate(bars):
        axes.barh(place, value, color=colour, hatch="//" if colour == GREY else "",
                  edgecolor="white", linewidth=0)  # fmt: skip
        axes.annotate(f"{value:,.4g}", (value, place), xytext=(5, 0), va="center", fontsize=9,
                      textcoords="offset points")  # fmt: skip
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, max(value for _, value, _ in bars) * 1.2)
    axes.set_xlabel(what)
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)


def _quiet(*panels: Axes) -> None:
    for axes in panels:
        axes.grid(visible=False, axis="x")
        axes.set_axisbelow(True)
