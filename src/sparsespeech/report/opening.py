"""The top of a report: the facts in large figures, then what stands out in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparsespeech.model_file.statistics import count_parameters
from sparsespeech.report.html import Markup, element, tiles
from sparsespeech.report.matrix_views import MatrixView
from sparsespeech.report.sparsity_tables import total_sparsity
from sparsespeech.report.subject import Subject

_FLOAT32_BYTES = 4


def headline(subject: Subject, views: Sequence[MatrixView]) -> Markup:
    """Parameters, nonzeros, sparsity, bytes, bits, word error rate where the log knows it."""
    summaries = [view.summary for view in views]
    parameters = count_parameters(subject.weights.graph)
    dense = _FLOAT32_BYTES * parameters
    nonzeros = sum(summary.nonzeros for summary in summaries)
    entries = sum(summary.entries for summary in summaries)
    facts = [
        ("Parameters", _count(parameters), f"{parameters:,} in the dense network"),
        ("Nonzero weights", _count(nonzeros), f"{nonzeros:,} of {entries:,}"),
        ("Sparsity", f"{total_sparsity(summaries):.2%}", "of all matrix entries are zero"),
    ]
    if subject.bytes_stored is None:
        facts.append(("Dense float32", _size(dense), "with all zeros stored"))
    else:
        ratio = dense / subject.bytes_stored
        remark = f"{ratio:.1f} times smaller than {_size(dense)} of float32"
        facts.append(("Stored file", _size(subject.bytes_stored), remark))
    facts.append(("Arithmetic", *subject.bits))
    return tiles(facts)


def findings(views: Sequence[MatrixView]) -> Markup:
    """What stands out: extremes of sparsity, overfull banks, emptied rows and inputs."""
    summaries = sorted((view.summary for view in views), key=lambda summary: summary.sparsity)
    least, most = summaries[0], summaries[-1]
    counts = np.concatenate([view.occupancy.row_cycles.ravel() for view in views])
    over = np.concatenate(
        [(view.occupancy.counts > view.occupancy.limits).ravel() for view in views]
    )
    lines = [
        f"{most.name} is the sparsest matrix ({most.sparsity:.1%} zeros), "
        f"{least.name} the densest ({least.sparsity:.1%}).",
        f"{over.mean():.1%} of the row banks hold more than 1 weight in 16: they cost an "
        f"accelerator that takes 1 in 16 a cycle {counts.mean() - 1:.1%} more cycles.",
    ]
    rows, columns = sum(s.empty_rows for s in summaries), sum(s.unused_columns for s in summaries)
    if rows:
        lines.append(f"{rows:,} rows have no weight left: their outputs depend on the bias alone.")
    if columns:
        lines.append(f"{columns:,} columns have no weight left: those inputs are never read.")
    return element("ul", *(element("li", line) for line in lines))


def _count(number: int) -> str:
    """As ``4.37 M`` or ``384 k``; small numbers in full."""
    for limit, unit in ((1_000_000, "M"), (10_000, "k")):
        if number >= limit:
            return f"{number / (1_000_000 if unit == 'M' else 1000):.3g} {unit}"
    return f"{number:,}"


def _size(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 100_000 else f"{count / 1e3:.3g} kB"
