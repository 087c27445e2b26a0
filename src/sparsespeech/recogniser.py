"""From a model file to text: the run flow in one class.

Axes: N samples, T frames, W inputs of one window (494), V labels with the blank.

``audio -> features -> windows -> executor -> logits -> log-softmax -> CTC decoder -> text``
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.recording import SAMPLE_RATE_HZ, Recording, recording_from_array
from sparsespeech.audio.silence import holds_no_speech
from sparsespeech.backend import Batcher, Executor, Threads, default_backend, load_backend
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.greedy_stream import GreedyStream
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.decoding.transcript import Transcript, Word
from sparsespeech.errors import BackendError, UnsupportedLayerError
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel, OutputLayer
from sparsespeech.model_file.reader import read_model
from sparsespeech.streaming import StreamSettings, TranscriptionStream

if TYPE_CHECKING:  # imported when a beam search is asked for
    from sparsespeech.decoding.beam_search import BeamSearchDecoder
    from sparsespeech.decoding.language_model import LanguageModel

PROGRAM_SUFFIX = ".program"  # of compiled accelerator programs
BIDIRECTIONAL_LIMIT_S = 600.0  # a bidirectional model holds every frame until the last one
END_TO_END = "end to end"
DecoderName = Literal["greedy", "beam"]


@dataclass(frozen=True)
class StageTime:
    """Seconds that one stage took, by the clock on the wall."""

    stage: str
    seconds: float


@dataclass(frozen=True)
class Transcription:
    """What was said in one recording.

    ``timing`` holds the stages of the DeepSpeech2 accelerator paper's table: audio, features,
    each layer, softmax, decoding and, last, end to end.
    """

    text: str
    words: tuple[Word, ...]  # times in seconds of the recording, confidence in [0, 1]
    duration_s: float
    timing: tuple[StageTime, ...]
    truncated: bool = False  # the file held less than it declared, and that was allowed
    clipped_samples: int = 0  # samples beyond +-1


def load(
    path_or_name: str | Path,
    *,
    backend: str | None = None,
    threads: Threads = "auto",
    target: str | None = None,
) -> Recogniser:
    """Read a model file, or a bundled model by its name, and prepare it for ``backend``.

    ``backend`` None: "cpu", or "reference" where the native engine was not built. ``threads``
    "auto": all that this process may use. ``target``: the accelerator of ``backend="simulator"``,
    which also takes a program file as the model (and is then the default); a program for another
    accelerator than ``target`` is refused. Raises ModelFileError,
    BackendError, EngineMemoryError, UnsupportedLayerError, or on the way to an accelerator
    CompileError, AcceleratorConfigError or ProgramFileError.
    """
    path = resolve_model(path_or_name)
    if path.suffix == PROGRAM_SUFFIX:
        return _load_program(path, backend, threads, target)
    executor = None
    contents = read_model(path)
    if target is not None:
        executor = _accelerator(contents, backend or default_backend(), threads, target=target)
    return Recogniser(contents, backend=backend, threads=threads, executor=executor)


def _load_program(
    path: Path, backend: str | None, threads: Threads, target: str | None
) -> Recogniser:
    """The recogniser of a compiled program; another backend runs the model inside it."""
    from sparsespeech.accelerator_config import target as named_target
    from sparsespeech.compiler.program_file import load_program

    name = backend or "simulator"
    if target is not None:
        _check_has_target(name)
    program = load_program(path, None if target is None else named_target(target))
    executor = None
    if name == "simulator":
        executor = _accelerator(program.model, name, threads, program=program)
    return Recogniser(program.model, backend=name, threads=threads, executor=executor)


def _accelerator(model: IntegerModel, backend: str, threads: Threads, **choice: Any) -> Executor:
    """An executor for a ``target`` or of a ``program``."""
    _check_has_target(backend)
    from sparsespeech.accelerator_executor import SimulatorExecutor

    return SimulatorExecutor(model, threads=threads, **choice)


def _check_has_target(backend: str) -> None:
    if backend != "simulator":
        raise BackendError(
            f"backend {backend!r} is no accelerator and has no target; add --backend simulator"
        )


class Recogniser:
    """One model on one backend; keeps nothing of one recording for the next."""

    def __init__(
        self,
        model: IntegerModel,
        *,
        backend: str | None = None,
        threads: Threads = "auto",
        executor: Executor | None = None,
    ) -> None:
        """Prepare ``model``, or take an ``executor`` of it that exists already.

        Raises BackendError, EngineMemoryError or UnsupportedLayerError.
        """
        self.model = model
        self.backend = backend if backend is not None else default_backend()
        self.features = MfccConfig.from_json(model.features)
        self.alphabet = Alphabet(model.labels)
        self._executor = executor or load_backend(self.backend)(model, threads=threads)
        self._logit_scale = _logit_scale(model)
        self._beam_searches: dict[tuple[object, ...], BeamSearchDecoder] = {}

    @property
    def default_max_duration_s(self) -> float | None:
        """Longest recording taken unless told otherwise: 600 s if bidirectional, else no limit."""
        return BIDIRECTIONAL_LIMIT_S if self.model.graph.bidirectional else None

    def log_probabilities(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Log-probabilities float32[T, V] of samples [N] at the model's rate, full scale +-1.

        No silence gate is applied; no samples give no frames.
        """
        return self._log_probabilities(samples, _StageClock())

    def transcribe(
        self,
        audio: str | Path | NDArray[Any],
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        *,
        decoder: DecoderName = "greedy",
        beam_width: int | None = None,
        language_model: str | Path | LanguageModel | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        max_duration_s: float | None = None,
        allow_truncated: bool = False,
    ) -> Transcription:
        """Text of a recording: a path, or samples [N] or [N, C] at ``sample_rate_hz``.

        ``language_model`` (an ARPA file, or one already read), its weight ``alpha``, the bonus
        ``beta`` of each word and ``beam_width`` (None: the decoder's default) belong to
        ``decoder="beam"``.
        ``max_duration_s`` None means :attr:`default_max_duration_s`. A recording without speech
        (:mod:`sparsespeech.audio.silence`) has an empty text. Raises AudioError and its children,
        LanguageModelError, AlphabetMismatchError, MissingDependencyError.
        """
        decode = self.decoder(
            decoder, beam_width=beam_width, language_model=language_model, alpha=alpha, beta=beta
        )
        clock = _StageClock()
        limit = self.default_max_duration_s if max_duration_s is None else max_duration_s
        recording = self._record(audio, sample_rate_hz, limit, allow_truncated)
        silent = holds_no_speech(recording.samples, recording.sample_rate_hz)
        clock.lap("audio")
        transcript = Transcript("", (), 0.0)
        if not silent:
            log_probabilities = self._log_probabilities(recording.samples, clock)
            transcript = decode(log_probabilities)
            clock.lap("decoding")
        return Transcription(
            text=transcript.text,
            words=_within(transcript.words, recording.duration_s),
            duration_s=recording.duration_s,
            timing=clock.stages(),
            truncated=recording.truncated,
            clipped_samples=recording.clipped_samples,
        )

    def decoder(
        self,
        name: DecoderName = "greedy",
        *,
        beam_width: int | None = None,
        language_model: str | Path | LanguageModel | None = None,
        alpha: float | None = None,
        beta: float | None = None,
    ) -> Callable[[NDArray[np.float32]], Transcript]:
        """A function from log-probabilities float32[T, V] to a transcript.

        A beam search with its language model is built once and kept for the next call with the
        same arguments. Raises LanguageModelError or AlphabetMismatchError, and ValueError for an
        unknown name or for a language model without beam search.
        """
        if name == "greedy":
            if language_model is not None:
                raise ValueError("a language model needs decoder='beam', got decoder='greedy'")
            return lambda scores: greedy_decode(
                scores, self.alphabet, self.features.frame_duration_s
            )
        if name != "beam":
            raise ValueError(f"decoder must be 'greedy' or 'beam', got {name!r}")
        key = (beam_width, language_model, alpha, beta)
        if key not in self._beam_searches:
            self._beam_searches = {key: self._beam_search(*key)}
        return self._beam_searches[key].decode

    def stream(
        self,
        sample_rate_hz: int | None = None,
        *,
        decoder: DecoderName = "greedy",
        beam_width: int | None = None,
        language_model: str | Path | LanguageModel | None = None,
        alpha: float | None = None,
        beta: float | None = None,
        pause_s: float | None = None,
        batcher: Batcher | None = None,
    ) -> TranscriptionStream:
        """Transcribe while the sound comes in: accept_waveform, partial, finish.

        Samples come at ``sample_rate_hz`` (None: the model's rate). ``pause_s``: that many seconds
        without a letter end an utterance (one without a pause ends with a word after 30 s); None:
        all sound is one utterance, whose text is that of :meth:`transcribe`. ``batcher``: one of
        :meth:`batcher`, to share the processor with other streams. Raises UnsupportedLayerError
        for a model that reads backwards, and the errors of :meth:`decoder`.
        """
        self.decoder(
            decoder, beam_width=beam_width, language_model=language_model, alpha=alpha, beta=beta
        )
        settings = StreamSettings(
            features=self.features,
            input=self.model.input,
            activation_bits=self.model.activation_bits,
            logit_scale=self._logit_scale,
            alphabet=self.alphabet,
            start_decoder=(
                self._beam_searches[beam_width, language_model, alpha, beta].stream
                if decoder == "beam"
                else lambda: GreedyStream(self.alphabet, self.features.frame_duration_s)
            ),
        )
        session = self._executor.stream() if batcher is None else batcher.session()
        rate = self.features.sample_rate_hz if sample_rate_hz is None else sample_rate_hz
        return TranscriptionStream(settings, session, sample_rate_hz=rate, pause_s=pause_s)

    def batcher(self) -> Batcher:
        """A thread that steps many streams of this model together; close it after use.

        Raises BackendError for a backend that steps one stream at a time.
        """
        make = getattr(self._executor, "batcher", None)
        if make is None:
            raise BackendError(
                f"backend {self.backend!r} steps one stream at a time; many together need "
                "backend='cpu'"
            )
        return cast(Batcher, make())

    def _beam_search(
        self,
        beam_width: int | None,
        language_model: str | Path | LanguageModel | None,
        alpha: float | None,
        beta: float | None,
    ) -> BeamSearchDecoder:
        from sparsespeech.decoding.beam_search import (
            DEFAULT_ALPHA,
            DEFAULT_BEAM_WIDTH,
            DEFAULT_BETA,
            BeamSearchDecoder,
        )
        from sparsespeech.decoding.language_model import LanguageModel

        if isinstance(language_model, str | Path):
            language_model = LanguageModel.read_for(Path(language_model), self.alphabet)
        return BeamSearchDecoder(
            self.alphabet,
            DEFAULT_BEAM_WIDTH if beam_width is None else beam_width,
            language_model,
            DEFAULT_ALPHA if alpha is None else alpha,
            DEFAULT_BETA if beta is None else beta,
            frame_duration_s=self.features.frame_duration_s,
        )

    def _record(
        self,
        audio: str | Path | NDArray[Any],
        sample_rate_hz: int,
        max_duration_s: float | None,
        allow_truncated: bool,
    ) -> Recording:
        rate = self.features.sample_rate_hz
        if isinstance(audio, str | Path):
            return read_audio(
                audio, rate, max_duration_s=max_duration_s, allow_truncated=allow_truncated
            )
        return recording_from_array(audio, sample_rate_hz, rate, max_duration_s=max_duration_s)

    def _log_probabilities(
        self, samples: NDArray[np.floating[Any]], clock: _StageClock
    ) -> NDArray[np.float32]:
        frames = extract_mfcc(samples, self.features)
        quantized = quantize_frames(frames, self.model.input, self.model.activation_bits)
        windows = context_windows(quantized, self.features.context, self.model.input.zero_point)
        clock.lap("features")
        logits, layer_times = self._executor.run_timed(windows)
        clock.add(layer_times)
        log_probabilities = log_softmax(logits, self._logit_scale)
        clock.lap("softmax")
        return log_probabilities


class _StageClock:
    """Times stages one after the other from its creation on."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._stages: list[StageTime] = []

    def lap(self, stage: str) -> None:
        """Give the time since the last stage to ``stage``."""
        now = time.perf_counter()
        self._stages.append(StageTime(stage, now - self._last))
        self._last = now

    def add(self, stages: list[tuple[str, float]]) -> None:
        """Take stages that somebody else has timed up to now."""
        self._stages += [StageTime(name, seconds) for name, seconds in stages]
        self._last = time.perf_counter()

    def stages(self) -> tuple[StageTime, ...]:
        """All stages, and the time from the first to now as the last."""
        whole = StageTime(END_TO_END, time.perf_counter() - self._start)
        return (*self._stages, whole)


def _within(words: tuple[Word, ...], duration_s: float) -> tuple[Word, ...]:
    """The same words, none ending after the recording: the last frame reaches beyond it."""
    return tuple(replace(word, end=min(word.end, duration_s)) for word in words)


def _logit_scale(model: IntegerModel) -> NDArray[np.float32]:
    output = model.layers[-1]
    if not isinstance(output, OutputLayer):
        raise UnsupportedLayerError(
            f"the last layer {output.name!r} is a {type(output).__name__}, "
            "expected the output layer; convert the model again"
        )
    return output.scale
