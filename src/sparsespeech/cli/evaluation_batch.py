"""Recognising every utterance of a manifest with one model, in this process or in several."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.silence import holds_no_speech
from sparsespeech.backend import Threads
from sparsespeech.cli.worker_processes import work_through
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.transcript import Transcript
from sparsespeech.training.run_folder import is_checkpoint


@dataclass(frozen=True)
class ExecutorSettings:
    """Who computes the log-probabilities of a model file."""

    backend: str
    threads: Threads  # of each process


@dataclass(frozen=True)
class DecoderSettings:
    """How log-probabilities become text; all but ``name`` act only in the beam search."""

    name: str  # "greedy" or "beam"
    beam_width: int
    language_model: Path | None
    alpha: float
    beta: float

    def describe(self) -> dict[str, Any]:
        """The settings that act, for JSON."""
        if self.name == "greedy":
            return {"decoder": "greedy"}
        described = {"decoder": "beam", "beam": self.beam_width}
        if self.language_model is not None:
            described |= {"lm": str(self.language_model), "alpha": self.alpha, "beta": self.beta}
        return described


@dataclass(frozen=True)
class Recognition:
    """Text of one recording; ``recognition_s`` excludes reading the audio."""

    text: str
    audio_s: float
    recognition_s: float


class AcousticModel(Protocol):
    """What a model on an executor and a training checkpoint have in common."""

    alphabet: Alphabet

    def log_probabilities(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """float32[T, V] of samples [N]."""
        ...


def check_model(model: str, executor: ExecutorSettings) -> None:
    """Open ``model`` and drop it; raises the errors of opening it in :func:`recognise_all`."""
    _load(model, executor)


def recognise_all(
    model: str,
    executor: ExecutorSettings,
    decoder: DecoderSettings,
    recordings: list[Path],
    jobs: int,
) -> Iterator[Recognition]:
    """Recognitions in the order of ``recordings``.

    Raises AudioError, ModelFileError, CheckpointError, BackendError, EngineMemoryError,
    LanguageModelError, AlphabetMismatchError or MissingDependencyError.
    """
    return work_through(recordings, partial(_Worker, model, executor, decoder), jobs)


class _Worker:
    """A model with its decoder."""

    def __init__(self, model: str, executor: ExecutorSettings, decoder: DecoderSettings) -> None:
        self._model, self._sample_rate_hz, frame_duration_s = _load(model, executor)
        self._decode = _decoder(decoder, self._model.alphabet, frame_duration_s)

    def __call__(self, path: Path) -> Recognition:
        """Text of one recording; silence has none, as in ``transcribe``."""
        recording = read_audio(path, self._sample_rate_hz)
        start = time.perf_counter()
        text = ""
        if not holds_no_speech(recording.samples, recording.sample_rate_hz):
            text = self._decode(self._model.log_probabilities(recording.samples)).text
        return Recognition(text, recording.duration_s, time.perf_counter() - start)


def _load(model: str, executor: ExecutorSettings) -> tuple[AcousticModel, int, float]:
    """The model, its sample rate in Hz and the duration of its frames in seconds."""
    if is_checkpoint(model):
        from sparsespeech.training.float_recogniser import FloatRecogniser

        checkpoint = FloatRecogniser.load(Path(model))
        return checkpoint, checkpoint.sample_rate_hz, checkpoint.frame_duration_s
    from sparsespeech.recogniser import load

    recogniser = load(model, backend=executor.backend, threads=executor.threads)
    features = recogniser.features
    return recogniser, features.sample_rate_hz, features.frame_duration_s


def _decoder(
    settings: DecoderSettings, alphabet: Alphabet, frame_duration_s: float
) -> Callable[[NDArray[np.float32]], Transcript]:
    if settings.name == "greedy":
        return lambda scores: greedy_decode(scores, alphabet, frame_duration_s)
    language_model = None
    if settings.language_model is not None:
        language_model = LanguageModel.read_for(settings.language_model, alphabet)
    search = BeamSearchDecoder(
        alphabet,
        settings.beam_width,
        language_model,
        settings.alpha,
        settings.beta,
        frame_duration_s=frame_duration_s,
    )
    return search.decode
