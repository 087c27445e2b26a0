"""Paired differences of ``bench accuracy``: what pruning, 8 bits and both cost. Points of a rate.

Axes: N seeds, U utterances. Every comparison is against dense float of the same seed on the same
utterances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparsespeech.benchmarks.accuracy_request import FLOAT, INT8, RATES, Rate, Recognised
from sparsespeech.benchmarks.paired_t import paired_t
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.evaluation.bootstrap import mean_paired_difference, paired_difference

BY_SEED, MEANS = "differences from dense float, by seed", "mean differences from dense float"
# The first one is the loss of Table III: its figures are CORPUS_drop.
COMPARED = (("sparse", INT8), ("sparse", FLOAT), ("dense", INT8))
_FIGURES = {"wer": "drop", "cer": "cer_drop"}
Found = dict[tuple[str, str], list[Recognised]]


def add_differences(
    corpus: str,
    suffix: str,
    seeds: Sequence[int],
    found: Found,
    result: BenchResult,
    *,
    by_speaker: bool,
) -> None:
    """Rows of each seed and of the mean over the seeds, figures of sparse int8.

    ``found`` holds N answers under (weights, arithmetic); ``suffix`` is that of the figures.
    """
    decoder = "language model" if suffix else "greedy"
    dense = found["dense", FLOAT]
    for weights, arithmetic in COMPARED:
        for rate in RATES:
            facts: Row = {
                "corpus": corpus,
                "decoder": decoder,
                "compared": f"{weights} {arithmetic}",
                "rate": rate,
            }
            others = found[weights, arithmetic]
            differences = []
            for seed, one, other in zip(seeds, others, dense, strict=True):
                row = difference_row(one, other, rate, by_speaker=by_speaker)
                differences.append(row["difference"])
                result.add_rows(BY_SEED, {**facts, "seed": seed, **row})
            mean = _mean_row(others, dense, differences, rate, by_speaker=by_speaker)
            result.add_rows(MEANS, {**facts, **mean})
            if (weights, arithmetic) == COMPARED[0]:
                _add_figures(f"{corpus}_{_FIGURES[rate]}", suffix, mean, result)


def difference_row(one: Recognised, other: Recognised, rate: Rate, *, by_speaker: bool) -> Row:
    """Rate of ``one`` less that of ``other`` with its bootstrap interval."""
    lengths = other.counts(rate)[1]
    difference, low, high = paired_difference(
        one.counts(rate)[0], other.counts(rate)[0], lengths,
        speakers=other.speakers if by_speaker else None,
    )  # fmt: skip
    return {"difference": difference, "low": low, "high": high}


def _mean_row(
    ones: Sequence[Recognised],
    others: Sequence[Recognised],
    differences: Sequence[float],
    rate: Rate,
    *,
    by_speaker: bool,
) -> Row:
    """Mean over seeds, bootstrap interval over seeds and utterances, t over seeds."""
    mean, low, high = mean_paired_difference(
        [one.counts(rate)[0] for one in ones],
        [other.counts(rate)[0] for other in others],
        others[0].counts(rate)[1],
        speakers=others[0].speakers if by_speaker else None,
    )
    row: dict[str, Any] = {"seeds": len(differences), "mean": mean, "low": low, "high": high}
    t = paired_t(differences)
    if t is not None:
        row |= {
            "deviation": t.deviation, "t": t.t, "p": t.p, "t_low": t.low, "t_high": t.high,
        }  # fmt: skip
    return row


def _add_figures(name: str, suffix: str, mean: Row, result: BenchResult) -> None:
    figures = {"": "mean", "_low": "low", "_high": "high", "_t": "t", "_p": "p",
               "_t_low": "t_low", "_t_high": "t_high"}  # fmt: skip
    for part, key in figures.items():
        if key in mean:
            result.figures[f"{name}{part}{suffix}"] = mean[key]
