"""The options of ``bench accuracy``: a plan file, or one manifest and pairs of checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from sparsespeech.backend import default_backend
from sparsespeech.benchmarks.accuracy import AccuracyOptions
from sparsespeech.benchmarks.accuracy_plan import AccuracyPlan, parse_plan, read_plan
from sparsespeech.cli.accuracy_checks import check_plan
from sparsespeech.cli.accuracy_runs import CheckpointRuns
from sparsespeech.cli.evaluation_batch import DecoderSettings, ExecutorSettings
from sparsespeech.cli.executor_options import threads_of_process
from sparsespeech.decoding.beam_search import DEFAULT_ALPHA, DEFAULT_BEAM_WIDTH, DEFAULT_BETA
from sparsespeech.training.checkpoint_state import file_digest


def accuracy_options(
    plan: Path | None,
    manifest: Path | None,
    pairs: list[str],
    corpus: str,
    lm: Path | None,
    *,
    work: Path,
    limit: int | None,
    by_speaker: bool,
    backend: str | None,
    threads: int | None,
    jobs: int,
) -> AccuracyOptions:
    """What the benchmark needs; raises usage errors and BenchmarkError before anything runs."""
    if (plan is None) == (manifest is None):
        raise typer.BadParameter("give either a plan or --manifest with --pair", param_hint="PLAN")
    if plan is not None and (pairs or lm is not None):
        raise typer.BadParameter("belongs to --manifest, not to a plan", param_hint="--pair, --lm")
    chosen = read_plan(plan) if plan is not None else _plan_of_pairs(manifest, pairs, corpus, lm)
    check_plan(chosen, by_speaker=by_speaker, limit=limit)
    executor = ExecutorSettings(backend or default_backend(), threads_of_process(threads, jobs))
    beam = DecoderSettings("beam", DEFAULT_BEAM_WIDTH, None, DEFAULT_ALPHA, DEFAULT_BETA)
    runs = CheckpointRuns(
        work, executor, beam, calibration=chosen.calibration, limit=limit, jobs=jobs
    )
    drawn = "speakers" if by_speaker else "utterances"
    others = {"equal_nonzeros": chosen.equal_nonzeros, "tried": chosen.tried}
    config = {
        "corpora": {test.name: _describe(test.test.manifest) for test in chosen.corpora},
        "intervals": f"95 %, seeds and {drawn} drawn",
        "drawn": drawn,
        "backend": executor.backend,
        "beam": {"width": beam.beam_width, "alpha": beam.alpha, "beta": beam.beta},
        "limit": limit,
        "threads": threads or "auto",
        **{name: _describe(part.test.manifest) for name, part in others.items() if part},
    }
    return AccuracyOptions(chosen, runs.recognise, config, by_speaker)


def _plan_of_pairs(
    manifest: Path | None, pairs: list[str], corpus: str, lm: Path | None
) -> AccuracyPlan:
    parts = [text.split(",") for text in pairs]
    if not parts or any(len(part) != 2 for part in parts):
        raise typer.BadParameter(
            "--manifest wants --pair DENSE,SPARSE, once a seed", param_hint="--pair"
        )
    section: dict[str, Any] = {
        "manifest": str(manifest),
        "pairs": [
            {"seed": seed, "dense": dense, "sparse": sparse}
            for seed, (dense, sparse) in enumerate(parts)
        ],
        **({"lm": str(lm)} if lm is not None else {}),
    }
    return parse_plan({"corpora": {corpus: section}})


def _describe(manifest: Path) -> dict[str, str]:
    return {"manifest": manifest.name, "sha256": file_digest(manifest)}
