"""``bench accuracy`` as Markdown: Table III, single runs, equal nonzeros, what was tried."""

from __future__ import annotations

from collections.abc import Iterator

from sparsespeech.benchmarks.accuracy_differences import MEANS
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
    cells = []
    for word in (row for row in rows if row["rate"] == "wer"):
        (character,) = (
            row for row in rows if row["rate"] == "cer" and row["compared"] == word["compared"]
        )
        tested = "t" in word
        cells.append(
            [
                word["compared"],
                with_interval(word["mean"], word["low"], word["high"], _DIGITS, sign=True),
                f"{word['t']:.2f} (p {word['p']:.2f})" if tested else "",
                f"[{word['t_low']:+.2f}, {word['t_high']:+.2f}]" if tested else "",
                with_interval(
                    character["mean"], character["low"], character["high"], _DIGITS, sign=True
                ),
            ]
        )
    headings = (
        "less dense float", "WER, points", "t over seeds", "its 95 % interval", "CER, points",
    )  # fmt: skip
    return markdown_table(headings, cells)


def _single_runs(result: BenchResult) -> Iterator[str]:
    tables = [name for name in _tables(result) if name.endswith(", single runs")]
    for name in tables:
        if name.startswith("published"):
            continue
        cells = []
        for row in result.table(name):
            loss = ""
            if "difference" in row:
                loss = with_interval(row["difference"], row["low"], row["high"], _DIGITS, sign=True)
            cells.append(
                [
                    row["run"],
                    row["arithmetic"],
                    f"{row['sparsity']:.1%}",
                    with_interval(row["wer"], row["wer_low"], row["wer_high"], _DIGITS),
                    f"{row['cer']:.{_DIGITS}f}",
                    loss,
                    megabytes(row["bytes_stored"]) if "bytes_stored" in row else "",
                ]
            )
        yield f"**{name}**, one seed:\n"
        yield markdown_table(
            ("run", "arithmetic", "sparsity", "WER %", "CER %", "less dense float", "stored"),
            cells,
            left=2,
        )
    published = result.table("published, single runs")
    if published:
        yield "As published, other corpora and models:\n"
        yield markdown_table(
            ("run", "source", "weights", "arithmetic", "sparsity", "WER %"),
            [
                [
                    row["run"], row["source"], row["weights"], row["arithmetic"],
                    f"{row['sparsity']:.1%}", f"{row['wer']:.2f}",
                ]
                for row in published
            ],
            left=4,
        )  # fmt: skip


def _curve_table(rows: list[Row]) -> str:
    cells = [
        [
            row["family"],
            row["label"],
            f"{row['nonzeros']:,}",
            megabytes(row["bytes_smallest"]),
            with_interval(row["wer"], row["wer_low"], row["wer_high"], _DIGITS),
            f"{row['cer']:.{_DIGITS}f}",
        ]
        for row in rows
    ]
    return markdown_table(
        ("family", "network", "nonzeros", "stored", "WER %", "CER %"), cells, left=2
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


def _tables(result: BenchResult) -> list[str]:
    return list(dict.fromkeys(row["table"] for row in result.rows))


def _select(rows: list[Row], corpus: str, decoder: str) -> list[Row]:
    return [row for row in rows if (row["corpus"], row["decoder"]) == (corpus, decoder)]
