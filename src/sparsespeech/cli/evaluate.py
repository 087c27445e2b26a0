"""``sparsespeech evaluate MODEL... MANIFEST``: word error rates, several models side by side."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from sparsespeech import atomic_file
from sparsespeech.backend import default_backend
from sparsespeech.cli.decoder_options import (
    AlphaOption,
    BeamOption,
    BetaOption,
    DecoderOption,
    LanguageModelOption,
    check_language_model_weights,
    decoder_name,
)
from sparsespeech.cli.evaluation_batch import (
    DecoderSettings,
    ExecutorSettings,
    Recognition,
    check_model,
    recognise_all,
)
from sparsespeech.cli.executor_options import (
    BackendOption,
    JobsOption,
    ThreadsOption,
    threads_of_process,
)
from sparsespeech.cli.option_types import AsJson, SplitOption
from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.decoding.beam_search import DEFAULT_ALPHA, DEFAULT_BEAM_WIDTH, DEFAULT_BETA
from sparsespeech.evaluation.bootstrap import check_speakers
from sparsespeech.evaluation.comparison import Comparison, ModelErrors
from sparsespeech.evaluation.word_error_rate import count_errors
from sparsespeech.training.run_folder import is_checkpoint


def run(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Model files, names of bundled models, and run or checkpoint folders of training.",
        ),
    ],
    manifest: Annotated[Path, typer.Argument(help="Recordings and their texts, JSON lines.")],
    split: SplitOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N utterances.")] = None,
    decoder: DecoderOption = None,
    beam: BeamOption = None,
    lm: LanguageModelOption = None,
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    backend: BackendOption = None,
    threads: ThreadsOption = None,
    by_speaker: Annotated[
        bool,
        typer.Option("--by-speaker", help="Draw speakers, not utterances, for the intervals."),
    ] = False,
    worst: Annotated[int, typer.Option(min=0, help="Worst utterances to show.")] = 10,
    jobs: JobsOption = 1,
    output: Annotated[
        Path | None, typer.Option(help="Write all hypotheses to this file, JSON lines.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Word and character error rates with bootstrap 95 % intervals.

    Other models are compared with the first one on the same utterances. Checkpoints of training
    run in torch: --backend and --threads are for model files.
    """
    settings = _decoder_settings(decoder, beam, lm, alpha, beta)
    if all(map(is_checkpoint, models)):
        _refuse_executor(backend, threads)
    if output is not None:
        _check_output(output)  # before hours of work, not after
    utterances = read_manifest(manifest, split=split)[:limit]
    if by_speaker:
        check_speakers([utterance.speaker for utterance in utterances], manifest)
    executor = ExecutorSettings(backend or default_backend(), threads_of_process(threads, jobs))
    for model in models[1:]:  # the first is opened by its own evaluation
        check_model(model, executor)
    results = [_evaluate(model, executor, settings, utterances, jobs) for model in models]
    if output is not None:
        _write_hypotheses(output, results, utterances)
    comparison = Comparison(
        results,
        [utterance.speaker for utterance in utterances],
        [str(utterance.audio_filepath) for utterance in utterances],
        by_speaker=by_speaker,
    )
    if as_json:
        print(json.dumps(_figures(comparison, manifest, split, settings), ensure_ascii=False))
    else:
        _print_report(comparison, worst)


def _decoder_settings(
    decoder: str | None,
    beam: int | None,
    lm: Path | None,
    alpha: float | None,
    beta: float | None,
) -> DecoderSettings:
    check_language_model_weights(lm, alpha, beta)
    return DecoderSettings(
        name=decoder_name(decoder, beam, lm),
        beam_width=beam or DEFAULT_BEAM_WIDTH,
        language_model=lm,
        alpha=DEFAULT_ALPHA if alpha is None else alpha,
        beta=DEFAULT_BETA if beta is None else beta,
    )


def _refuse_executor(backend: str | None, threads: int | None) -> None:
    for option, value in (("--backend", backend), ("--threads", threads)):
        if value is not None:
            raise typer.BadParameter(
                f"chooses how model files run, got {value} for checkpoints only, which run in "
                "torch; leave it out, or 'quantize' the checkpoint first",
                param_hint=option,
            )


def _check_output(output: Path) -> None:
    folder = next(parent for parent in output.absolute().parents if parent.exists())
    if output.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise typer.BadParameter(
            f"{output}: give the path of a file in a folder that can be written",
            param_hint="--output",
        )


def _evaluate(
    model: str,
    executor: ExecutorSettings,
    settings: DecoderSettings,
    utterances: list[Utterance],
    jobs: int,
) -> ModelErrors:
    recordings = [utterance.audio_filepath for utterance in utterances]
    recognitions = list(
        _with_progress(
            recognise_all(model, executor, settings, recordings, jobs), model, len(recordings)
        )
    )
    return ModelErrors(
        model=model,
        utterances=tuple(
            count_errors(utterance.text, recognition.text)
            for utterance, recognition in zip(utterances, recognitions, strict=True)
        ),
        audio_s=sum(recognition.audio_s for recognition in recognitions),
        recognition_s=sum(recognition.recognition_s for recognition in recognitions),
    )


def _with_progress(
    recognitions: Iterator[Recognition], model: str, count: int
) -> Iterator[Recognition]:
    """The same recognitions, with a bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from recognitions
        return
    with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task(model, total=count)
        for recognition in recognitions:
            yield recognition
            bar.advance(task)


def _figures(
    comparison: Comparison, manifest: Path, split: str | None, settings: DecoderSettings
) -> dict[str, list[dict[str, object]]]:
    return {
        "models": [
            {
                "model": result.model,
                "manifest": str(manifest),
                "split": split,
                **comparison.figures(result),
                **settings.describe(),
            }
            for result in comparison.models
        ]
    }


def _print_report(comparison: Comparison, worst: int) -> None:
    utterances = comparison.models[0].utterances
    words = sum(utterance.words for utterance in utterances)
    audio_s = comparison.models[0].audio_s
    print(f"{len(utterances)} utterances, {words} words, {audio_s / 60:.1f} minutes\n")
    print(comparison.summary())
    print(f"\n{comparison.speaker_table()}")
    if worst:
        print(f"\nWorst utterances\n\n{comparison.worst_utterances(worst)}")


def _write_hypotheses(path: Path, results: list[ModelErrors], utterances: list[Utterance]) -> None:
    lines = []
    for result in results:
        for utterance, errors in zip(utterances, result.utterances, strict=True):
            record = {
                "model": result.model,
                "audio_filepath": str(utterance.audio_filepath),
                "speaker": utterance.speaker,
                "reference": errors.reference,
                "hypothesis": errors.hypothesis,
                "words": errors.words,
                "word_errors": errors.word_errors,
            }
            lines.append(json.dumps(record, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(path, "\n".join(lines) + "\n")
