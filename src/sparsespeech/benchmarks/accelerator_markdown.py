"""The accelerator's benchmarks as Markdown, beside what the MAU paper (S2) prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sparsespeech.benchmarks.markdown_table import markdown_table
from sparsespeech.benchmarks.result import BenchResult, Row

Cell = Callable[[Row], str]


def mapping_markdown(result: BenchResult) -> str:
    """Table II, totals, memory and links."""
    return "\n".join(_mapping(result))


def latency_markdown(result: BenchResult) -> str:
    """Table V by every source, one step by cause, logits."""
    return "\n".join(_latency(result))


def throughput_markdown(result: BenchResult) -> str:
    """Table IV by every definition, and modelled power."""
    return "\n".join(_throughput(result))


def deepbench_markdown(result: BenchResult) -> str:
    """Table VI."""
    rows = result.table("product")
    columns: dict[str, Cell] = {
        "source": lambda row: row["source"],
        "loads": lambda row: row["loads"],
        "cycles a vector": lambda row: f"{row['cycles_per_vector']:,.0f}",
        "TOPS": lambda row: f"{row['real_tops']:.3f}",
        "effective TOPS": lambda row: f"{row['effective_tops']:.1f}",
    }
    published = [
        [row["platform"], "", "", f"{row['real_tops']:.2f}", f"{row['effective_tops']:.1f}"]
        for row in result.table("published")
    ]
    table = [[cell(row) for cell in columns.values()] for row in rows]
    return (
        f"{result.config['nonzeros']:,} nonzeros of {result.config['weights']:,} weights on "
        f"{result.config['cores']} cores; inputs ready, outputs not counted:\n\n"
        + markdown_table(list(columns), table + published)
    )


def density_markdown(result: BenchResult) -> str:
    """Sparsity against cycles: the trained size, the full size, one core."""
    return "\n".join(_density(result))


ACCELERATOR_TEXTS: dict[str, Callable[[BenchResult], str]] = {
    "mapping": mapping_markdown,
    "latency-simulator": latency_markdown,
    "throughput-simulator": throughput_markdown,
    "deepbench-simulator": deepbench_markdown,
    "density-simulator": density_markdown,
}


def _mapping(result: BenchResult) -> Iterator[str]:
    rows = result.table("layers")
    paper = any("paper_cores" in row for row in rows)
    columns: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "layer": lambda row: row["layer"],
        "type": lambda row: row["kind"],
        "cores": lambda row: str(row["cores"]),
        "efficiency (%)": lambda row: f"{row['efficiency']:.1f}",
    }
    if paper:
        columns["paper: cores"] = lambda row: str(row["paper_cores"])
        columns["paper: efficiency (%)"] = lambda row: f"{row['paper_efficiency']:.1f}"
    columns["cycles a frame"] = lambda row: f"{row['cycles_per_frame']:,}"
    yield _table(columns, rows, left=3)
    totals: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "figure": lambda row: row["figure"].replace("_", " "),
        "ours": lambda row: f"{row['value']:,.6g}",
    }
    if paper:
        totals["paper"] = lambda row: str(row["paper"])
    yield _table(totals, result.table("totals"), left=2)
    memory: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "words": lambda row: f"{row['words']:,} of {row['of_words']:,}",
        "used (%)": lambda row: f"{100 * row['used']:.1f}",
        "deepest stream": lambda row: f"{row['deepest_stream']} of {row['of_depth']}",
        "entries with a weight (%)": lambda row: f"{100 * row['entries_filled']:.1f}",
    }
    yield _table(memory, result.table("weight memory"))


def _latency(result: BenchResult) -> Iterator[str]:
    columns: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "source": lambda row: row["source"],
        "cycles": lambda row: _number(row, "cycles", ",.0f"),
        "ms": lambda row: f"{row['ms']:.4f}".rstrip("0"),
        "effective TOPS": lambda row: _number(row, "effective_tops", ".1f"),
    }
    yield _table(columns, result.table("latency"), left=2)
    causes = ("multiply", "stall", "sums", "arithmetic", "flit", "slot", "network", "others",
              "load", "total", "row_groups", "overhead")  # fmt: skip
    split: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "direction": lambda row: row["direction"],
        **{cause.replace("_", " "): _cell(cause) for cause in causes},
    }
    yield "Mean cycles from one step to the next:\n"
    yield _table(split, result.table("cycles of a step"), left=2)
    for row in result.table("logits"):
        yield (
            f"{row['mapping'].capitalize()} mapping: {row['equal']:,} of {row['logits']:,} logits "
            "are those of the reference executor; "
            f"{row['utterance_seconds_per_minute']:.0f} utterance-seconds simulated in a minute "
            "of one core, values and cycles.\n"
        )


def _throughput(result: BenchResult) -> Iterator[str]:
    columns: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "source": lambda row: row["source"],
        "cycles a frame": lambda row: f"{row['cycles_per_frame']:,.0f}",
        "effective TOPS": lambda row: f"{row['effective_tops']:.2f}",
        "TOPS of nonzeros": lambda row: f"{row['real_tops']:.3f}",
    }
    yield f"{result.config['utterances_in_flight']} utterances in flight:\n"
    yield _table(columns, result.table("streaming"), left=2)
    alone: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "latency (ms)": lambda row: f"{row['latency_ms']:.4f}",
        "effective TOPS": lambda row: f"{row['effective_tops']:.1f}",
    }
    yield "One utterance alone, operations over latency:\n"
    yield _table(alone, result.table("one utterance alone"))
    power: dict[str, Cell] = {
        "mapping": lambda row: row["mapping"],
        "work": lambda row: row["work"],
        "watts (model)": lambda row: f"{row['watts']:.1f}",
        "GOPS/W (model)": lambda row: f"{row['gops_per_watt']:,.0f}",
        "J a second of speech (model)": lambda row: f"{row['joules_per_audio_second']:.4f}",
    }
    if result.table("energy (modelled)"):
        yield f"Power is a {result.config['power']}; nothing was measured:\n"
        yield _table(power, result.table("energy (modelled)"), left=2)


def _density(result: BenchResult) -> Iterator[str]:
    for name in ("size of the trained model", "full size"):
        columns: dict[str, Cell] = {
            "sparsity (%)": lambda row: f"{100 * row['sparsity']:.4g}",
            "pattern": lambda row: row["pattern"],
            "ms, paper mapping": lambda row: _number(row, "ms_paper", ".4f"),
            "ms, interleaved": lambda row: _number(row, "ms_interleaved", ".4f"),
            "cycles a frame, streaming": lambda row: _number(row, "cycles_per_frame", ",.0f"),
            "memory (%)": lambda row: _number(row, "memory_used", ".1f", 100),
        }
        if result.table(name):
            yield f"{name.capitalize()}:\n"
            yield _table(columns, result.table(name), left=2)
    core: dict[str, Cell] = {
        "sparsity (%)": lambda row: f"{100 * row['sparsity']:.4g}",
        "pattern": lambda row: row["pattern"],
        "cycles a row group": lambda row: f"{row['cycles_per_row_group']:.3f}",
        "fewest possible": lambda row: f"{row['fewest_possible']:.3f}",
    }
    yield "One core, 4096 x 1024:\n"
    yield _table(core, result.table("one core"), left=2)


def _table(columns: dict[str, Cell], rows: list[Row], *, left: int = 1) -> str:
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return markdown_table(list(columns), cells, left=left)


def _cell(name: str) -> Cell:
    return lambda row: f"{row[name]:,.1f}"


def _number(row: dict[str, Any], name: str, form: str, times: float = 1.0) -> str:
    """The figure, or the words in its place, or nothing."""
    value = row.get(name, "")
    return value if isinstance(value, str) else format(times * value, form)
