"""``bench accuracy`` as Markdown: Table III, single runs, equal nonzeros, what was tried."""

from __future__ import annotations

from collections.abc import Iterator

from sparsespeech.benchmarks.accuracy_differences import MEANS
from sparsespeech.benchmarks.accuracy_published import table_iii_loss
from sparsespeech.benchmarks.markdown_table import markdown_table, megabytes, with_interval
from sparsespeech.benchmarks.result import BenchResult, Row

_DIGITS = 2  # one word of the smallest test set is 0.13 points


def accuracy_markdown(result: BenchResult) -> str:
    """All tables that ``result`` has rows for, a blank line between two."""
    return "\n".join(_parts(result))


def _parts(result: BenchResult) -> Iterator[str]:
    medians = result.table("medians")
    for corpus, decoder in dict.fromkeys((row["corpus"], row["decoder"]) for row in medians):
        rows = _select(medians, corpus, decoder)
        seeds = rows[0]["seeds"]
        yield f"**{corpus}**, {decoder}, " + (
            f"median of {seeds} seeds [lowest, highest]:\n" if seeds > 1 else "one seed:\n"
        )
        yield _median_table(rows, result)
        yield _difference_table(_select(result.table(MEANS), corpus, decoder))
    if medians:
        yield (
            "In brackets behind differences: bootstrap 95 % interval over seeds and "
            f"{result.config.get('drawn', 'utterances')}; t, its p and its interval are those of "
            "the differences of the seeds.\n"
        )
    yield from _single_runs(result)
    if result.table("equal nonzeros"):
        yield "**Small and dense against large and sparse**, int8:\n"
        yield _curve_table(result.table("equal nonzeros"))
    if result.table("tried"):
        yield "**Tried**, float, on development speech:\n"
        yield _tried_table(result.table("tried"))


def _median_table(rows: list[Row], result: BenchResult) -> str:
    published = {
        (row["weights"], row["arithmetic"]): row["test_wer"] for row in result.table("published")
    }
    cells = [
        [
            row["weights"] if row["sparsity"] < 0.5 else f"{row['sparsity']:.1%} sparse",
            row["arithmetic"],
            _spread(row),
            f"{row['cer']:.{_DIGITS}f}",
            f"{row['nonzeros']:,}",
            megabytes(row["bytes_stored"]) if "bytes_stored" in row else "",
            f"{published[row['weights'], row['arithmetic']]:.2f}",
        ]
        for row in rows
    ]
    headings = ("weights", "arithmetic", "WER %", "CER %", "nonzeros", "stored", "S2, WER %")
    return markdown_table(headings, cells, left=2)


def _difference_table(rows: list[Row]) -> str:
    """Mean differences; the columns of t only where there are seeds to take it over."""
    by_rate = {(row["compared"], row["rate"]): row for row in rows}
    tested = any("t" in row for row in rows)
    cells = []
    for compared in dict.fromkeys(row["compared"] for row in rows):
        word = by_rate[compared, "wer"]
        line = [compared, _mean(word)]
        if tested:
            line += _t_cells(word)
        weights, arithmetic = compared.split()
        line += [_mean(by_rate[compared, "cer"]), f"{table_iii_loss(weights, arithmetic):+.2f}"]
        cells.append(line)
    of_t = ["t over seeds", "its 95 % interval"] if tested else []
    headings = ["less dense float", "WER, points", *of_t, "CER, points", "S2, WER"]
    return markdown_table(headings, cells)


def _mean(row: Row) -> str:
    return with_interval(row["mean"], row["low"], row["high"], _DIGITS, sign=True)


def _t_cells(row: Row) -> list[str]:
    if "t" not in row:  # all seeds differ by the same
        return ["", ""]
    return [f"{row['t']:.2f} (p {row['p']:.2g})", f"[{row['t_low']:+.2f}, {row['t_high']:+.2f}]"]


def _single_runs(result: BenchResult) -> Iterator[str]:
    published = result.table("published, single runs")
    headings = (
        "run", "arithmetic", "sparsity", "WER %", "CER %", "less dense float", "stored",
        "as published, WER %",
    )  # fmt: skip
    for name in dict.fromkeys(row["table"] for row in result.rows):
        if name.endswith(", single runs") and not name.startswith("published"):
            yield f"**{name}**, one seed:\n"
            cells = [_single_cells(row, published) for row in result.table(name)]
            yield markdown_table(headings, cells, left=2)
    for label in dict.fromkeys(row["run"] for row in published):
        dense = next(row for row in published if row["run"] == label and row["sparsity"] == 0.0)
        yield f"{label} as published by {dense['source']}: dense {dense['wer']:.2f}.\n"


def _single_cells(row: Row, published: list[Row]) -> list[str]:
    loss = ""
    if "difference" in row:
        loss = with_interval(row["difference"], row["low"], row["high"], _DIGITS, sign=True)
    return [
        row["run"],
        row["arithmetic"],
        f"{row['sparsity']:.1%}",
        with_interval(row["wer"], row["wer_low"], row["wer_high"], _DIGITS),
        f"{row['cer']:.{_DIGITS}f}",
        loss,
        megabytes(row["bytes_stored"]) if "bytes_stored" in row else "",
        _published_cell(row, published),
    ]


def _published_cell(row: Row, published: list[Row]) -> str:
    """The source's figure for the same run and arithmetic, and what it lost to its dense one."""
    of_run = [other for other in published if other["run"] == row["run"]]
    for other in of_run:
        if other["sparsity"] > 0.0 and other["arithmetic"] == row["arithmetic"]:
            loss = other["wer"] - next(each["wer"] for each in of_run if each["sparsity"] == 0.0)
            return f"{other['source']}: {other['wer']:.2f} ({loss:+.2f})"
    return ""


def _curve_table(rows: list[Row]) -> str:
    cells = [
        [
            row["family"],
            row["label"],
            f"{row['nonzeros']:,}",
            megabytes(row["bytes_coded"]),
            with_interval(row["wer"], row["wer_low"], row["wer_high"], _DIGITS),
            f"{row['cer']:.{_DIGITS}f}",
        ]
        for row in rows
    ]
    return markdown_table(
        ("family", "network", "nonzeros", "Huffman-coded", "WER %", "CER %"), cells, left=2
    )


def _tried_table(rows: list[Row]) -> str:
    cells = [
        [
            row["label"],
            row["note"],
            f"{row['sparsity']:.1%}",
            with_interval(row["wer"], row["wer_low"], row["wer_high"], _DIGITS),
            with_interval(row["difference"], row["low"], row["high"], _DIGITS, sign=True)
            if "difference" in row
            else "",
        ]
        for row in rows
    ]
    headings = ("run", "what was different", "sparsity", "WER %", f"less {rows[0]['label']}")
    return markdown_table(headings, cells, left=2)


def _spread(row: Row) -> str:
    if row["seeds"] == 1:
        return f"{row['wer']:.{_DIGITS}f}"
    return with_interval(row["wer"], row["lowest_wer"], row["highest_wer"], _DIGITS)


def _select(rows: list[Row], corpus: str, decoder: str) -> list[Row]:
    return [row for row in rows if (row["corpus"], row["decoder"]) == (corpus, decoder)]
