"""Live transcription: audio chunks in, text while somebody is still speaking.

Axes: n samples of a chunk, t frames that it completes, V labels with the blank.

``audio -> windows -> session of the executor -> log-softmax -> CTC decoder -> text``. Each step
keeps what it needs of the past, so a recording gives the same text however it is cut, and that
is the text of the whole recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from sparsespeech.audio.recording import check_sample_rate
from sparsespeech.audio.samples import check_chunk
from sparsespeech.audio.speech_gate import SpeechGate
from sparsespeech.backend import Session
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.decoding.transcript import Transcript, Word
from sparsespeech.errors import EngineMemoryError, SessionFinishedError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.features.window_stream import WindowStream
from sparsespeech.model_file.model import InputQuantization

LONGEST_UTTERANCE_S = 30.0


@dataclass(frozen=True)
class StreamResult:
    """What was said so far in the utterance under way, or in one that has ended.

    ``final`` False: the last word may still change or grow, and words may follow.
    """

    text: str
    words: tuple[Word, ...]  # times in seconds from the start of the stream
    final: bool
    duration_s: float  # of the sound that the stream has taken so far
    clipped_samples: int = 0  # samples beyond +-1 so far


class TextStream(Protocol):
    """A decoder that takes its frames in pieces."""

    def accept(self, log_probabilities: NDArray[np.float32]) -> None:
        """Take the next frames, float32[t, V] in nats."""
        ...

    def partial(self) -> Transcript:
        """The transcript so far."""
        ...

    def finish(self) -> Transcript:
        """The transcript if no frame follows."""
        ...


@dataclass(frozen=True, eq=False)
class StreamSettings:
    """What a model brings to each of its streams."""

    features: MfccConfig
    input: InputQuantization
    activation_bits: int  # 8, or 16 in wide mode
    logit_scale: NDArray[np.float32]  # float32[1] or float32[V], rule R9
    alphabet: Alphabet
    start_decoder: Callable[[], TextStream]


class TranscriptionStream:
    """One recording under way; made by :meth:`Recogniser.stream`.

    The text trails the sound by the model's look-ahead (180 ms for 9 context frames of 20 ms). A
    stream keeps a few kilobytes and its transcript; with ``pause_s`` it keeps no more than the
    utterance under way, and may run for ever. One thread at a time may use it.
    """

    def __init__(
        self,
        settings: StreamSettings,
        session: Session,
        *,
        sample_rate_hz: int,
        pause_s: float | None = None,
    ) -> None:
        """``session``: a fresh one of the model's executor; ``pause_s``: see Recogniser.stream.

        Raises AudioError for an impossible rate.
        """
        check_sample_rate("the stream", sample_rate_hz)
        rate = settings.features.sample_rate_hz
        self._settings = settings
        self._session = session
        self._rate = sample_rate_hz
        self._resampler = (
            None if rate == sample_rate_hz else soxr.ResampleStream(sample_rate_hz, rate, 1)
        )
        self._gate = SpeechGate(rate)
        self._windows = WindowStream(settings.features, settings.input, settings.activation_bits)
        self._waiting: list[NDArray[Any]] = []  # windows that a step left without logits
        self._utterances = _UtteranceDecoder(settings, pause_s)
        self._samples = 0
        self._clipped = 0
        self._ended = False  # no sound follows
        self._finished = False  # and all of it is text

    @property
    def finished(self) -> bool:
        """Whether :meth:`finish` has returned the last utterance."""
        return self._finished

    def accept_waveform(self, samples: NDArray[Any]) -> tuple[StreamResult, ...]:
        """Take the next samples [n], floating with full scale +-1 or int16; n may be 0.

        Returns the utterances that ended by a pause in these samples; without ``pause_s`` there
        are none. Raises AudioError for another type or shape, NaN or infinity, and
        SessionFinishedError after :meth:`finish`: such a chunk is refused and changes nothing.
        After EngineMemoryError the chunk is kept, and computed with the next one.
        """
        self._check_unfinished(self._ended)
        chunk = self._checked(samples)
        if self._resampler is not None:
            chunk = self._resampler.resample_chunk(chunk)
        return self._take(chunk)

    def partial(self) -> StreamResult:
        """The utterance so far; its time grows with the text that it returns."""
        return self._result(self._utterances.partial(), final=False)

    def finish(self) -> StreamResult:
        """End the stream: the last utterance, without ``pause_s`` the whole recording.

        Raises SessionFinishedError the second time. With ``pause_s``, utterances that end in the
        last frames are part of the last one. After EngineMemoryError nothing is lost: call it
        again.
        """
        self._check_unfinished(self._finished)
        if not self._ended:
            self._end_sound()
        self._finished = True
        try:
            log_probabilities = self._compute()
        except EngineMemoryError:
            self._finished = False
            raise
        self._session.finish()
        return self._result(self._utterances.finish(log_probabilities), final=True)

    def _end_sound(self) -> None:
        """Let the windows wait that only the end of the sound completes."""
        self._ended = True
        if self._resampler is not None:
            rest = self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            self._gate.accept(rest)
            self._waiting.append(self._windows.accept(rest))
        self._waiting.append(self._windows.finish())

    def _take(self, chunk: NDArray[np.float32]) -> tuple[StreamResult, ...]:
        self._gate.accept(chunk)
        self._waiting.append(self._windows.accept(chunk))
        ended = self._utterances.accept(self._compute())
        results = (self._result(transcript, final=True) for transcript in ended)
        return tuple(result for result in results if result.text)

    def _compute(self) -> NDArray[np.float32]:
        """Log-probabilities float32[t, V] of the windows that wait."""
        windows = np.concatenate(self._waiting)
        self._waiting = []  # before the step: an interruption must not compute them twice
        try:
            logits = self._session.push(windows)
        except EngineMemoryError:  # the session is as before
            self._waiting = [windows]
            raise
        return log_softmax(logits, self._settings.logit_scale)

    def _checked(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Samples as float32[n] within +-1."""
        chunk, clipped = check_chunk(samples, first_frame=self._samples, sample_rate_hz=self._rate)
        self._clipped += clipped
        self._samples += chunk.size
        return chunk

    def _result(self, transcript: Transcript, *, final: bool) -> StreamResult:
        duration_s = self._samples / self._rate
        words = transcript.words if self._gate.holds_speech() else ()
        if words and words[-1].end > duration_s:  # the last frame reaches beyond the sound
            words = (*words[:-1], replace(words[-1], end=duration_s))
        text = transcript.text if words else ""
        return StreamResult(text, words, final, duration_s, self._clipped)

    def _check_unfinished(self, finished: bool) -> None:
        if finished:
            raise SessionFinishedError(
                f"the stream was finished after {self._samples / self._rate:.3f} s and takes no "
                "more; start a new one for the next recording"
            )


class _UtteranceDecoder:
    """Decodes frame after frame; ``pause_s`` without a letter ends an utterance (often empty).

    So that an utterance without a pause does not grow for ever, it ends with the first space after
    LONGEST_UTTERANCE_S, or with the first blank after twice that time.
    """

    def __init__(self, settings: StreamSettings, pause_s: float | None) -> None:
        if pause_s is not None and not pause_s > 0:
            raise ValueError(f"pause_s is {pause_s!r}, expected seconds above 0, or None")
        self._settings = settings
        duration_s = settings.features.frame_duration_s
        self._pause = None if pause_s is None else max(1, round(pause_s / duration_s))  # frames
        self._longest = round(LONGEST_UTTERANCE_S / duration_s)  # frames
        self._blank = settings.alphabet.blank
        self._spaces = {n for n, symbol in enumerate(settings.alphabet.symbols) if symbol == " "}
        self._frames = 0
        self._start_utterance()

    def _start_utterance(self) -> None:
        self._decoder = self._settings.start_decoder()
        self._first_frame = self._frames
        self._quiet = 0  # frames since the last letter

    def accept(self, log_probabilities: NDArray[np.float32]) -> list[Transcript]:
        """Take frames float32[t, V]; the utterances that end in them."""
        ended: list[Transcript] = []
        start = 0
        for end in self._pauses(log_probabilities):
            self._decode(log_probabilities[start:end])
            ended.append(self._shifted(self._decoder.finish()))
            self._start_utterance()
            start = end
        self._decode(log_probabilities[start:])
        return ended

    def partial(self) -> Transcript:
        """The utterance under way."""
        return self._shifted(self._decoder.partial())

    def finish(self, log_probabilities: NDArray[np.float32]) -> Transcript:
        """The utterance that ends with these last frames."""
        self._decode(log_probabilities)
        return self._shifted(self._decoder.finish())

    def _decode(self, log_probabilities: NDArray[np.float32]) -> None:
        self._decoder.accept(log_probabilities)
        self._frames += len(log_probabilities)

    def _pauses(self, log_probabilities: NDArray[np.float32]) -> Iterator[int]:
        """Ends (excluded) of the pauses in these frames that are long enough."""
        if self._pause is None:
            return
        length = self._frames - self._first_frame
        for number, best in enumerate(log_probabilities.argmax(axis=1).tolist()):
            length += 1
            space, blank = best in self._spaces, best == self._blank
            self._quiet = self._quiet + 1 if space or blank else 0
            if (
                self._quiet == self._pause
                or (space and length > self._longest)
                or (blank and length > 2 * self._longest)
            ):
                yield number + 1
                length = 0

    def _shifted(self, transcript: Transcript) -> Transcript:
        """The same with times from the start of the stream."""
        offset = self._first_frame * self._settings.features.frame_duration_s
        if offset == 0.0:
            return transcript
        words = tuple(
            replace(word, start=word.start + offset, end=word.end + offset)
            for word in transcript.words
        )
        return replace(transcript, words=words)
