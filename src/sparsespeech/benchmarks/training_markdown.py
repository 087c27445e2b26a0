"""``bench training`` as Markdown: milliseconds and speedups by width, agreement, memory."""

from __future__ import annotations

from collections.abc import Iterator

from sparsespeech.benchmarks.markdown_table import markdown_table
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.training import CONTENDERS, OURS, OURS_SPARSE, WORKS

_TITLES = {
    "layer": "forward and backward of one bidirectional LSTM layer",
    "model": "a whole training step of DeepSpeech",
}


def training_markdown(result: BenchResult) -> str:
    """Tables of milliseconds, speedups and memory, and what the networks agree to."""
    return "\n".join(_parts(result))


def _parts(result: BenchResult) -> Iterator[str]:
    config = result.config
    yield (
        f"{config['utterances']} utterances of {min(config['lengths'])} to {config['steps']} "
        f"frames, {config['threads']} thread{'s' if config['threads'] > 1 else ''}, median ms of "
        f"{config['rounds']} interleaved rounds:\n"
    )
    cells = []
    for work in WORKS:
        rows = result.table(work)
        for width in dict.fromkeys(row["width"] for row in rows):
            by_name = {row["name"]: row for row in rows if row["width"] == width}
            cells.append(_cells(f"{work}, {width}", by_name))
    headings = ["width"]
    headings += [contender.title for contender in CONTENDERS.values()]
    headings += ["dense, times faster", "pruned, times faster"]
    yield markdown_table(headings, cells)
    yield (
        f"*Layer*: {_TITLES['layer']}; *model*: {_TITLES['model']}. *Times faster*: than "
        "the fastest way of torch in the same round, median [least, most] of the rounds.\n"
    )
    yield from _kernels({row.get("notes", "") for row in result.rows})
    yield _agreement(result)
    yield _memory(result)


def _kernels(notes: set[str]) -> Iterator[str]:
    """Which kernels ours had; results from before they were named say yes, and get no line."""
    if "native kernels no" in notes:
        yield "The native kernels were absent: ours ran in torch alone.\n"
    else:
        yield from (f"Ours: {note}.\n" for note in sorted(notes - {"", "native kernels yes"}))


def _cells(label: str, rows: dict[str, Row]) -> list[str]:
    times = [_milliseconds(rows[name]["median_ms"]) for name in CONTENDERS]
    faster = [
        f"{row['speedup']:.2f} [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
        for row in (rows[OURS], rows[OURS_SPARSE])
    ]
    return [label, *times, *faster]


def _agreement(result: BenchResult) -> str:
    ours = {OURS, OURS_SPARSE}
    rows = [row for work in WORKS for row in result.table(work) if row["name"] in ours]
    output, gradient = (
        max(float(row[f"largest_{what}_fp32"]) for row in rows) for what in ("output", "gradient")
    )
    shares = [max(float(row[f"{what}_difference_fp32"]) for row in rows)
              for what in ("output", "gradient")]  # fmt: skip
    bf16 = ", ".join(
        f"{contender.title} {_largest_of_norm(result, name):.2f}"
        for name, contender in CONTENDERS.items()
        if contender.precision.endswith("bf16")
    )
    return (
        f"In the same run, ours, dense and pruned, in float32 against packed nn.LSTM in float32: "
        f"outputs differ by {output:.1e} at most, gradients by {gradient:.1e} "
        f"({shares[0]:.1e} and {shares[1]:.1e} of their norms). In bf16 the gradients differ from "
        f"float32 by so much of their norms at most: {bf16}.\n"
    )


def _largest_of_norm(result: BenchResult, name: str) -> float:
    rows = [row for row in result.rows if row.get("name") == name]
    return max(float(row["gradient_difference"]) for row in rows)


def _memory(result: BenchResult) -> str:
    width = result.config["figure_width"]
    rows = [row for row in result.table("model") if row["width"] == width]
    peaks = ", ".join(f"{row['title']} {row['peak_mib']:,} MiB" for row in rows)
    return f"Most memory during a whole step of width {width}, with torch itself: {peaks}.\n"


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
