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
from typing import Any, Literal

from sparsespeech.benchmarks.accuracy_plan import (
    AccuracyPlan,
    CorpusPlan,
    CurvePlan,
    Run,
    TestSet,
    TriedPlan,
)
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.evaluation.bootstrap import (
    mean_paired_difference,
    paired_difference,
    rate_interval,
)
from sparsespeech.evaluation.word_error_rate import (
    UtteranceErrors,
    character_error_rate,
    word_error_rate,
)

Arithmetic = Literal["float", "int8"]
FLOAT: Arithmetic = "float"
INT8: Arithmetic = "int8"
ARITHMETICS: tuple[Arithmetic, ...] = (FLOAT, INT8)
WEIGHTS = ("dense", "sparse")
_BIAS_BYTES = 4
# Table III of the MAU paper: DeepSpeech trained on 960 hours, medians of five runs.
PAPER_ROWS: tuple[Row, ...] = tuple(
    {"weights": weights, "arithmetic": arithmetic, "sparsity": sparsity, "test_wer": wer}
    for weights, arithmetic, sparsity, wer in (
        ("dense", "float", 0.0, 6.06),
        ("dense", "int8", 0.0, 6.17),
        ("sparse", "float", 0.96, 6.25),
        ("sparse", "int8", 0.96, 6.29),
    )
)


@dataclass(frozen=True)
class Request:
    """One model on one test set; ``with_lm`` decodes with the test set's language model."""

    run: Run
    arithmetic: Arithmetic
    test: TestSet
    with_lm: bool


@dataclass(frozen=True)
class Recognised:
    """Errors [U] and speakers [U] of one request, and facts of the model.

    ``bytes_stored`` is the length of the int8 file, None for float; ``kept`` tells that the
    hypotheses come from an earlier run of the benchmark.
    """

    utterances: tuple[UtteranceErrors, ...]
    speakers: tuple[str, ...]
    checkpoint_sha256: str
    parameters: int
    nonzeros: int
    sparsity: float
    bytes_stored: int | None
    kept: bool


@dataclass(frozen=True)
class AccuracyOptions:
    """``recognise`` answers a request; ``by_speaker`` draws whole speakers for the intervals."""

    plan: AccuracyPlan
    recognise: Callable[[Request], Recognised]
    config: dict[str, Any]
    by_speaker: bool = False


def run_accuracy(options: AccuracyOptions) -> BenchResult:
    """Measure everything that the plan names. WER and CER in per cent."""
    result = BenchResult("accuracy", dict(options.config))
    for corpus in options.plan.corpora:
        _measure_corpus(corpus, options, result, with_lm=False)
        if corpus.test.lm is not None:
            _measure_corpus(corpus, options, result, with_lm=True)
    if any(corpus.pairs for corpus in options.plan.corpora):
        result.add_rows("published", *PAPER_ROWS)
    if options.plan.equal_nonzeros is not None:
        _measure_curve(options.plan.equal_nonzeros, options, result)
    if options.plan.tried is not None:
        _measure_tried(options.plan.tried, options, result)
    return result


def _measure_corpus(
    corpus: CorpusPlan, options: AccuracyOptions, result: BenchResult, *, with_lm: bool
) -> None:
    """The four rows of each seed, medians, and the paired difference of sparse int8."""
    suffix = "_lm" if with_lm else ""
    table = f"{corpus.name}, language model" if with_lm else corpus.name
    found: dict[tuple[str, str], list[Recognised]] = {}
    for pair in corpus.pairs:
        for weights in WEIGHTS:
            run = Run(f"{weights}, seed {pair.seed}", getattr(pair, weights))
            for arithmetic in ARITHMETICS:
                recognised = options.recognise(Request(run, arithmetic, corpus.test, with_lm))
                found.setdefault((weights, arithmetic), []).append(recognised)
                facts = {"seed": pair.seed, "weights": weights, "arithmetic": arithmetic}
                result.add_rows(table, {**facts, **_row(recognised, options, run)})
    if found:
        _add_medians(corpus.name, suffix, found, result)
        _add_difference(corpus, suffix, found, options, result)
    for run in corpus.single:
        for arithmetic in ARITHMETICS:
            recognised = options.recognise(Request(run, arithmetic, corpus.test, with_lm))
            facts = {"run": run.label, "arithmetic": arithmetic}
            result.add_rows(f"{table}, single runs", {**facts, **_row(recognised, options, run)})
            # The figure by the plain name is that of the model that is shipped.
            name = f"{corpus.name}_{{}}_{run.label}" + ("" if arithmetic == INT8 else "_float")
            result.figures[name.format("wer") + suffix] = word_error_rate(recognised.utterances)
            result.figures[name.format("cer") + suffix] = character_error_rate(
                recognised.utterances
            )


def _add_medians(
    corpus: str,
    suffix: str,
    found: dict[tuple[str, str], list[Recognised]],
    result: BenchResult,
) -> None:
    """Median over the seeds of each of the four rows."""
    rows: list[Row] = []
    for (weights, arithmetic), seeds in found.items():
        wer = median(word_error_rate(one.utterances) for one in seeds)
        cer = median(character_error_rate(one.utterances) for one in seeds)
        name = f"{corpus}_{weights}_{arithmetic}"
        result.figures[f"{name}_wer{suffix}"] = wer
        result.figures[f"{name}_cer{suffix}"] = cer
        rows.append(
            {
                "corpus": corpus,
                "decoder": "language model" if suffix else "greedy",
                "weights": weights,
                "arithmetic": arithmetic,
                "seeds": len(seeds),
                "sparsity": median(one.sparsity for one in seeds),
                "wer": wer,
                "cer": cer,
            }
        )
    result.figures[f"{corpus}_sparsity"] = median(one.sparsity for one in found["sparse", INT8])
    result.add_rows("medians", *rows)


def _add_difference(
    corpus: CorpusPlan,
    suffix: str,
    found: dict[tuple[str, str], list[Recognised]],
    options: AccuracyOptions,
    result: BenchResult,
) -> None:
    """Sparse int8 less dense float: of each seed, and the mean with its interval."""
    sparse, dense = found["sparse", INT8], found["dense", FLOAT]
    speakers = dense[0].speakers if options.by_speaker else None
    for unit, counts in (("wer", _word_counts), ("cer", _character_counts)):
        lengths = counts(dense[0])[1]
        errors = [counts(one)[0] for one in sparse]
        others = [counts(one)[0] for one in dense]
        mean, low, high = mean_paired_difference(errors, others, lengths, speakers=speakers)
        name = f"{corpus.name}_drop" if unit == "wer" else f"{corpus.name}_cer_drop"
        result.figures[f"{name}{suffix}"] = mean
        result.figures[f"{name}_low{suffix}"] = low
        result.figures[f"{name}_high{suffix}"] = high
        for pair, one, other in zip(corpus.pairs, errors, others, strict=True):
            drop, low, high = paired_difference(one, other, lengths, speakers=speakers)
            result.add_rows(
                "differences: sparse int8 less dense float",
                {
                    "corpus": corpus.name,
                    "decoder": "language model" if suffix else "greedy",
                    "rate": unit,
                    "seed": pair.seed,
                    "difference": drop,
                    "low": low,
                    "high": high,
                },
            )


def _measure_curve(curve: CurvePlan, options: AccuracyOptions, result: BenchResult) -> None:
    """Int8 word error rate against bytes, by family.

    ``bytes_smallest`` is the stored file, or what one byte a weight comes to where that is less:
    the file stores an index with every weight, which a dense network would not need.
    """
    for family, runs in curve.runs.items():
        rows = []
        for run in runs:
            recognised = options.recognise(Request(run, INT8, curve.test, with_lm=False))
            facts = {"family": family.replace("_", " "), "label": run.label}
            sizes = {"bytes_smallest": _smallest_bytes(recognised)}
            rows.append({**facts, **_row(recognised, options, run), **sizes})
        rows.sort(key=lambda row: int(row["bytes_smallest"]))
        result.add_rows("equal nonzeros", *rows)


def _measure_tried(tried: TriedPlan, options: AccuracyOptions, result: BenchResult) -> None:
    """Float word error rate of each run, in the order of the plan."""
    for run in tried.runs:
        recognised = options.recognise(Request(run, FLOAT, tried.test, with_lm=False))
        facts = {"label": run.label, "note": run.note}
        result.add_rows("tried", {**facts, **_row(recognised, options, run)})


def _row(recognised: Recognised, options: AccuracyOptions, run: Run) -> Row:
    errors, lengths = _word_counts(recognised)
    speakers = recognised.speakers if options.by_speaker else None
    low, high = rate_interval(errors, lengths, speakers=speakers)
    row: Row = {
        "wer": word_error_rate(recognised.utterances),
        "wer_low": low,
        "wer_high": high,
        "cer": character_error_rate(recognised.utterances),
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


def _smallest_bytes(recognised: Recognised) -> int:
    """Bytes of the stored int8 file, or of one byte a weight and four a bias."""
    entries = round(recognised.nonzeros / (1.0 - recognised.sparsity))
    plain = entries + _BIAS_BYTES * (recognised.parameters - entries)
    return min(plain, recognised.bytes_stored or plain)


def _word_counts(recognised: Recognised) -> tuple[list[int], list[int]]:
    return (
        [utterance.word_errors for utterance in recognised.utterances],
        [utterance.words for utterance in recognised.utterances],
    )


def _character_counts(recognised: Recognised) -> tuple[list[int], list[int]]:
    return (
        [utterance.character_errors for utterance in recognised.utterances],
        [utterance.characters for utterance in recognised.utterances],
    )
