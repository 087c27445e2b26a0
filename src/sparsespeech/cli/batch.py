"""Transcribing many recordings, in this process or in several, in the order given."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sparsespeech.backend import Threads
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
    worker = _Worker(settings)
    if jobs == 1 or len(paths) == 1:
        yield from map(worker.transcribe, paths)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of libraries
    with ProcessPoolExecutor(
        min(jobs, len(paths)), context, initializer=_start_worker, initargs=(settings,)
    ) as pool:
        try:
            yield from pool.map(_transcribe_in_worker, paths)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


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
        self._recogniser.decoder(
            settings.decoder,
            beam_width=settings.beam_width,
            language_model=settings.language_model,
            alpha=settings.alpha,
            beta=settings.beta,
        )

    def transcribe(self, path: Path) -> Outcome:
        settings = self._settings
        try:
            transcription = self._recogniser.transcribe(
                path,
                decoder=settings.decoder,
                beam_width=settings.beam_width,
                language_model=settings.language_model,
                alpha=settings.alpha,
                beta=settings.beta,
                max_duration_s=settings.max_duration_s,
                allow_truncated=settings.allow_truncated,
            )
        except MemoryError:  # EngineMemoryError too, which does not know the path
            return Outcome(path, None, f"{path}: not enough memory; split the recording")
        except SparseSpeechError as error:
            return Outcome(path, None, str(error))
        return Outcome(path, transcription)


_workers: list[_Worker] = []  # at most one: that of this worker process


def _start_worker(settings: BatchSettings) -> None:
    _workers.append(_Worker(settings))


def _transcribe_in_worker(path: Path) -> Outcome:
    return _workers[0].transcribe(path)
