"""Word error rates of dense and sparse models in float and int8: Table III of the MAU paper.

Beside it S3's and S4's rows (single runs), the word error rate against stored bytes of small dense
and large sparse networks, and what was tried. Axes: N seeds, U utterances.

How checkpoints are quantized and recognised is given from outside: benchmarks do not know how
models are trained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from sparsespeech.benchmarks.accuracy_differences import Found, add_differences, difference_row
from sparsespeech.benchmarks.accuracy_plan import (
    AccuracyPlan,
    CorpusPlan,
    CurvePlan,
    Run,
    TestSet,
    TriedPlan,
)
from sparsespeech.benchmarks.accuracy_published import TABLE_III, published_of
from sparsespeech.benchmarks.accuracy_request import (
    ARITHMETICS,
    FLOAT,
    INT8,
    RATES,
    Arithmetic,
    Recognised,
    Request,
)
from sparsespeech.benchmarks.machine_facts import library_versions
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.evaluation.bootstrap import rate_interval

WEIGHTS = ("dense", "sparse")


@dataclass(frozen=True)
class AccuracyOptions:
    """``recognise`` answers a request; ``by_speaker`` draws whole speakers for the intervals."""

    plan: AccuracyPlan
    recognise: Callable[[Request], Recognised]
    config: dict[str, Any]
    by_speaker: bool = False

    def measure(
        self,
        run: Run,
        arithmetic: Arithmetic,
        test: TestSet,
        *,
        with_lm: bool = False,
        coded: bool = False,
    ) -> tuple[Recognised, Row]:
        """The answer to one request, and its columns in the tables."""
        recognised = self.recognise(Request(run, arithmetic, test, with_lm, coded))
        return recognised, _row(recognised, run, by_speaker=self.by_speaker)


def run_accuracy(options: AccuracyOptions) -> BenchResult:
    """Measure everything that the plan names. WER and CER in per cent."""
    result = BenchResult("accuracy", dict(options.config))
    result.add_versions(library_versions(("torch",)))  # the float rows run in it
    for corpus in options.plan.corpora:
        _measure_corpus(corpus, options, result, with_lm=False)
        if corpus.test.lm is not None:
            _measure_corpus(corpus, options, result, with_lm=True)
    if any(corpus.pairs for corpus in options.plan.corpora):
        result.add_rows("published", *TABLE_III)
    labels = dict.fromkeys(run.label for corpus in options.plan.corpora for run in corpus.single)
    for label in labels:
        result.add_rows("published, single runs", *published_of(label))
    if options.plan.equal_nonzeros is not None:
        _measure_curve(options.plan.equal_nonzeros, options, result)
    if options.plan.tried is not None:
        _measure_tried(options.plan.tried, options, result)
    return result


def _measure_corpus(
    corpus: CorpusPlan, options: AccuracyOptions, result: BenchResult, *, with_lm: bool
) -> None:
    """The four rows of each seed, medians and paired differences; then the single runs."""
    suffix = "_lm" if with_lm else ""
    table = f"{corpus.name}, language model" if with_lm else corpus.name
    found: Found = {}
    for pair in corpus.pairs:
        for weights in WEIGHTS:
            run = Run(f"{weights}, seed {pair.seed}", getattr(pair, weights))
            for arithmetic in ARITHMETICS:
                recognised, row = options.measure(run, arithmetic, corpus.test, with_lm=with_lm)
                found.setdefault((weights, arithmetic), []).append(recognised)
                facts = {"seed": pair.seed, "weights": weights, "arithmetic": arithmetic}
                result.add_rows(table, {**facts, **row})
    if found:
        _add_medians(corpus.name, suffix, found, result)
        seeds = [pair.seed for pair in corpus.pairs]
        add_differences(
            corpus.name, suffix, seeds, found, result, by_speaker=options.by_speaker
        )  # fmt: skip
    dense = found["dense", FLOAT][0] if found else None
    for run in corpus.single:
        for arithmetic in ARITHMETICS:
            recognised, row = options.measure(run, arithmetic, corpus.test, with_lm=with_lm)
            facts = {"run": run.label, "arithmetic": arithmetic}
            row |= _loss(recognised, dense, by_speaker=options.by_speaker)
            result.add_rows(f"{table}, single runs", {**facts, **row})
            # The figure by the plain name is that of the model that is shipped.
            of_float = "" if arithmetic == INT8 else "_float"
            for rate in RATES:
                name = f"{corpus.name}_{rate}_{run.label}{of_float}{suffix}"
                result.figures[name] = getattr(recognised, rate)


def _loss(recognised: Recognised, dense: Recognised | None, *, by_speaker: bool) -> Row:
    """WER of a single run less that of the first pair's dense float, where there is a pair."""
    if dense is None:
        return {}
    row = difference_row(recognised, dense, "wer", by_speaker=by_speaker)
    return {"dense_wer": dense.wer, **row}


def _add_medians(corpus: str, suffix: str, found: Found, result: BenchResult) -> None:
    """Median over the seeds of each of the four rows."""
    rows: list[Row] = []
    for (weights, arithmetic), seeds in found.items():
        wer, cer = (median(getattr(one, rate) for one in seeds) for rate in RATES)
        name = f"{corpus}_{weights}_{arithmetic}"
        result.figures[f"{name}_wer{suffix}"] = wer
        result.figures[f"{name}_cer{suffix}"] = cer
        row: Row = {
            "corpus": corpus,
            "decoder": "language model" if suffix else "greedy",
            "weights": weights,
            "arithmetic": arithmetic,
            "seeds": len(seeds),
            "sparsity": median(one.sparsity for one in seeds),
            "nonzeros": round(median(one.nonzeros for one in seeds)),
            "wer": wer,
            "lowest_wer": min(one.wer for one in seeds),
            "highest_wer": max(one.wer for one in seeds),
            "cer": cer,
        }
        sizes = [one.bytes_stored for one in seeds if one.bytes_stored is not None]
        rows.append(row | ({"bytes_stored": round(median(sizes))} if sizes else {}))
    result.figures[f"{corpus}_sparsity"] = median(one.sparsity for one in found["sparse", INT8])
    result.add_rows("medians", *rows)


def _measure_curve(curve: CurvePlan, options: AccuracyOptions, result: BenchResult) -> None:
    """Int8 word error rate against the bytes of Huffman-coded files, by family.

    The normal file stores a place with every weight, which a dense network has no need of; coded,
    places that are all the same take next to nothing.
    """
    for family, runs in curve.runs.items():
        rows = []
        for run in runs:
            recognised, row = options.measure(run, INT8, curve.test, coded=True)
            facts = {"family": family.replace("_", " "), "label": run.label}
            rows.append({**facts, **row, "bytes_coded": recognised.bytes_coded})
        rows.sort(key=lambda row: int(row["bytes_coded"]))
        result.add_rows("equal nonzeros", *rows)


def _measure_tried(tried: TriedPlan, options: AccuracyOptions, result: BenchResult) -> None:
    """Float word error rate of each run, in the order of the plan, and less that of the first."""
    first: Recognised | None = None
    for run in tried.runs:
        recognised, row = options.measure(run, FLOAT, tried.test)
        facts = {"label": run.label, "note": run.note}
        if first is not None:
            row |= difference_row(recognised, first, "wer", by_speaker=options.by_speaker)
        first = first or recognised
        result.add_rows("tried", {**facts, **row})


def _row(recognised: Recognised, run: Run, *, by_speaker: bool) -> Row:
    errors, lengths = recognised.counts("wer")
    speakers = recognised.speakers if by_speaker else None
    low, high = rate_interval(errors, lengths, speakers=speakers)
    row: Row = {
        "wer": recognised.wer,
        "wer_low": low,
        "wer_high": high,
        "cer": recognised.cer,
        "sparsity": recognised.sparsity,
        "nonzeros": recognised.nonzeros,
        "parameters": recognised.parameters,
    }
    if recognised.bytes_stored is not None:
        row["bytes_stored"] = recognised.bytes_stored
    return {
        **row,
        "utterances": len(recognised.utterances),
        "kept": recognised.kept,
        "checkpoint": run.checkpoint.name,
        "sha256": recognised.checkpoint_sha256[:16],
    }
