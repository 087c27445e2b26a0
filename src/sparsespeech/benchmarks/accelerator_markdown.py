"""The accelerator's benchmarks as Markdown, beside what the MAU paper (S2) prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sparsespeech.benchmarks.markdown_table import markdown_table
from sparsespeech.benchmarks.result import BenchResult, Row

Cell = Callable[[Row], str]
_PATTERN_NAMES = {"magnitude": "trained", "random": "random", "bank-balanced": "bank-balanced"}


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
    causes = ("multiply", "row_limit", "stall", "sums", "arithmetic", "flit", "slot", "network",
              "others", "load", "total", "row_groups", "overhead")  # fmt: skip
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
            "are those of the reference executor.\n"
        )
    for row in result.table("speed of the simulator"):
        yield (
            f"{row['mapping'].capitalize()} mapping: {row['utterance_seconds_per_minute']:.0f} "
            f"utterance-seconds simulated in a minute of one core (values, cycles and the host's "
            f"layers of {row['utterances']} utterances); loading the program before took "
            f"{row['loading_s']:.1f} s.\n"
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
    dense = result.config.get("dense_model")
    if dense is not None:
        words, usual = dense["weight_words"], dense["weight_words_of_target"]
        memories = f", with weight memories of {words:,} words in place of {usual:,}"
        yield (
            f"The dense model is {dense['file']} (sha256 {dense['sha256'][:12]}), pruned by "
            f"magnitude in one step, on {result.config['target']}"
            f"{memories if words != usual else ''}.\n"
        )
    for note in result.config.get("left_out", []):
        yield f"{note[0].upper()}{note[1:]}.\n"
    for name in dict.fromkeys(row["table"] for row in result.rows):
        if name != "one core":
            yield f"{name.capitalize()}:\n"
            yield _network(result.table(name))
    core = result.config["core"]
    yield (
        f"One core, up to {core['rows']} x {core['columns']}. A bank holds the weights of one row "
        "lane in one window; how full the fullest is stands over their mean:\n"
    )
    yield _side_by_side(result.table("one core"))


def _network(rows: list[Row]) -> str:
    columns: dict[str, Cell] = {
        "sparsity (%)": _sparsity,
        "pattern": lambda row: _PATTERN_NAMES[row["pattern"]],
        "ms, paper mapping": lambda row: _number(row, "ms_paper", ".4f"),
        "ms, interleaved": lambda row: _number(row, "ms_interleaved", ".4f"),
        "cycles a frame, streaming": lambda row: _number(row, "cycles_per_frame", ",.0f"),
        "of the busiest core": lambda row: _number(row, "busiest_core", ",.0f"),
        "memory (%)": lambda row: _number(row, "memory_used", ".1f", 100),
        "cores": lambda row: _number(row, "cores", ",.0f"),
    }
    if any("cores_of_target" in row for row in rows):
        columns["cores, memories of the target"] = lambda row: str(row["cores_of_target"])
    return _table(columns, rows, left=2)


def _side_by_side(rows: list[Row]) -> str:
    """A row for each sparsity: the fewest possible cycles, then every pattern beside the others."""
    patterns = [name for name in _PATTERN_NAMES if any(row["pattern"] == name for row in rows)]
    core: dict[float, Row] = {}
    for row in rows:
        core.setdefault(row["sparsity"], {"sparsity": row["sparsity"]})[row["pattern"]] = row
    columns: dict[str, Cell] = {
        "sparsity (%)": _sparsity,
        "fewest cycles a row group": lambda row: f"{row['random']['fewest_possible']:.3f}",
    }
    for figure, title in (
        ("cycles_per_row_group", "cycles"),
        ("fullest_bank_over_mean", "fullest bank"),
    ):
        for pattern in patterns:
            columns[f"{title}: {_PATTERN_NAMES[pattern]}"] = _nested(pattern, figure)
    return _table(columns, list(core.values()))


def _sparsity(row: Row) -> str:
    return f"{100 * row['sparsity']:.4g}"


def _nested(pattern: str, figure: str) -> Cell:
    return lambda row: f"{row[pattern][figure]:.3f}" if pattern in row else ""


def _table(columns: dict[str, Cell], rows: list[Row], *, left: int = 1) -> str:
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return markdown_table(list(columns), cells, left=left)


def _cell(name: str) -> Cell:
    return lambda row: f"{row[name]:,.1f}"


def _number(row: dict[str, Any], name: str, form: str, times: float = 1.0) -> str:
    """The figure, or the words in its place, or nothing."""
    value = row.get(name, "")
    return value if isinstance(value, str) else format(times * value, form)
