"""``sparsespeech transcribe PATH...``: recordings in, text, JSON or subtitles out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from sparsespeech.audio.finding import find_recordings
from sparsespeech.cli.batch import BatchSettings, Outcome, transcribe_batch
from sparsespeech.cli.decoder_options import (
    AlphaOption,
    BeamOption,
    BetaOption,
    DecoderOption,
    LanguageModelOption,
    check_language_model_weights,
    decoder_name,
)
from sparsespeech.cli.default_model import default_model
from sparsespeech.cli.executor_options import (
    BackendOption,
    JobsOption,
    TargetOption,
    ThreadsOption,
    threads_of_process,
)
from sparsespeech.cli.failure import FAILURE_STATUS, print_failure, print_warning
from sparsespeech.cli.transcription_formats import Format
from sparsespeech.cli.transcription_output import TranscriptionOutput
from sparsespeech.recogniser import Transcription

MaxDurationOption = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="SECONDS",
        help="Refuse longer recordings; default 600 for bidirectional models, else no limit.",
    ),
]


def run(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Recordings, and folders of them.")
    ],
    model: Annotated[
        str | None,
        typer.Option(
            help="Model file, name of a bundled model, or compiled accelerator program; default "
            "english-medium."
        ),
    ] = None,
    decoder: DecoderOption = None,
    beam: BeamOption = None,
    lm: LanguageModelOption = None,
    alpha: AlphaOption = None,
    beta: BetaOption = None,
    format_: Annotated[Format, typer.Option("--format", help="Form of the output.")] = Format.TEXT,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file instead of stdout; for subtitles of several recordings: "
            "to this folder."
        ),
    ] = None,
    timing: Annotated[
        bool,
        typer.Option("--timing", help="Seconds of each stage: in JSON, else a table on stderr."),
    ] = False,
    max_duration: MaxDurationOption = None,
    allow_truncated: Annotated[
        bool,
        typer.Option("--allow-truncated", help="Transcribe what is there of truncated files."),
    ] = False,
    backend: BackendOption = None,
    target: TargetOption = None,
    threads: ThreadsOption = None,
    jobs: JobsOption = 1,
) -> None:
    """Transcribe recordings of any common format, sample rate and channel count.

    Folders are searched for recordings. A recording that cannot be used is reported and passed
    over; the exit status is then 2.
    """
    check_language_model_weights(lm, alpha, beta)
    settings = BatchSettings(
        model=model or default_model(),
        backend=backend,
        threads=threads_of_process(threads, jobs),
        decoder=decoder_name(decoder, beam, lm),
        beam_width=beam,
        language_model=str(lm) if lm is not None else None,
        alpha=alpha,
        beta=beta,
        max_duration_s=max_duration,
        allow_truncated=allow_truncated,
        target=target,
    )
    recordings = find_recordings(paths)
    sink = TranscriptionOutput(format_, output, recordings, timing=timing)
    outcomes = transcribe_batch(recordings, settings, jobs)
    _write(_with_progress(outcomes, len(recordings)), sink)


def _write(outcomes: Iterator[Outcome], sink: TranscriptionOutput) -> None:
    """Pass on what was heard and report what was not; raises Exit if there is any of that."""
    failures = 0
    for outcome in outcomes:
        if outcome.transcription is None:
            print_failure(outcome.failure)
            failures += 1
        else:
            _warn(outcome.path, outcome.transcription)
            sink.accept(outcome.path, outcome.transcription)
    sink.finish()
    if failures:
        raise typer.Exit(FAILURE_STATUS)


def _with_progress(outcomes: Iterator[Outcome], count: int) -> Iterator[Outcome]:
    """The same outcomes, with a bar on stderr if that is a terminal and there are several."""
    console = Console(stderr=True)
    if count == 1 or not console.is_terminal:
        yield from outcomes
        return
    # Without a terminal as stdout, text must reach the file or pipe that takes its place.
    with Progress(console=console, transient=True, redirect_stdout=sys.stdout.isatty()) as bar:
        task = bar.add_task("transcribing", total=count)
        for outcome in outcomes:
            yield outcome
            bar.advance(task)


def _warn(path: Path, transcription: Transcription) -> None:
    if transcription.truncated:
        print_warning(f"{path}: is truncated; this is the text of what is there")
    if transcription.clipped_samples:
        print_warning(f"{path}: {transcription.clipped_samples} samples beyond +-1 were clipped")
