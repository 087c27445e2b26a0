"""Transcribing many recordings, in this process or in several, in the order given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparsespeech.backend import Threads
from sparsespeech.cli.worker_processes import work_through
from sparsespeech.errors import SparseSpeechError
from sparsespeech.recogniser import DecoderName, Recogniser, Transcription, load


@dataclass(frozen=True)
class BatchSettings:
    """Everything that a worker process needs to know."""

    model: str
    backend: str | None  # None: what suits the model
    threads: Threads  # of each process
    decoder: DecoderName
    beam_width: int | None
    language_model: str | None  # path of an ARPA file
    alpha: float | None
    beta: float | None
    max_duration_s: float | None
    allow_truncated: bool
    target: str | None = None  # of an accelerator


@dataclass(frozen=True)
class Outcome:
    """One recording and its transcription, or the reason why there is none."""

    path: Path
    transcription: Transcription | None
    failure: str = ""


def transcribe_batch(paths: list[Path], settings: BatchSettings, jobs: int) -> Iterator[Outcome]:
    """Outcomes in the order of ``paths``; an unusable recording does not stop the others.

    Raises ModelFileError, BackendError, EngineMemoryError, LanguageModelError or
    AlphabetMismatchError before the first outcome.
    """
    return work_through(paths, partial(_Worker, settings), jobs)


class _Worker:
    """A recogniser and how to use it."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._recogniser: Recogniser = load(
            settings.model,
            backend=settings.backend,
            threads=settings.threads,
            target=settings.target,
        )
        self._decoding: dict[str, Any] = {
            "beam_width": settings.beam_width,
            "language_model": settings.language_model,
            "alpha": settings.alpha,
            "beta": settings.beta,
        }
        self._recogniser.decoder(settings.decoder, **self._decoding)  # its errors come first

    def __call__(self, path: Path) -> Outcome:
        settings = self._settings
        try:
            transcription = self._recogniser.transcribe(
                path,
                decoder=settings.decoder,
                **self._decoding,
                max_duration_s=settings.max_duration_s,
                allow_truncated=settings.allow_truncated,
            )
        except MemoryError:  # EngineMemoryError too, which does not know the path
            return Outcome(path, None, f"{path}: not enough memory; split the recording")
        except SparseSpeechError as error:
            return Outcome(path, None, str(error))
        return Outcome(path, transcription)
