"""The stages around the acoustic model: features, decoding, and all of it end to end.

Axes: N samples, T frames, V labels with the blank.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.engine import Engine, check_equal
from sparsespeech.benchmarks.measurement import Timing, time_call
from sparsespeech.benchmarks.speech_input import FrontEnd
from sparsespeech.corpora.language_model_text import read_sentences
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.beam_search import BeamSearchDecoder
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.decoding.transcript import Transcript
from sparsespeech.errors import BenchmarkError
from sparsespeech.model_file.model import IntegerModel, OutputLayer

BEAM_WIDTH = 32
NGRAM_ORDER = 3
_BUNDLED_TEXTS = (
    "demo_audio/manifest.jsonl",
    "integer_arithmetic/spec.md",
    "model_file/format.md",
)


def bundled_texts() -> list[Path]:
    """The English texts that every installation holds."""
    package = files("sparsespeech")
    return [Path(str(package.joinpath(name))) for name in _BUNDLED_TEXTS]


def ngram_language_model(texts: list[Path]) -> LanguageModel:
    """The 3-gram model of ``texts`` that our own trainer makes."""
    return LanguageModel(train_ngram(read_sentences(texts), NGRAM_ORDER).tables)


class Stages:
    """One model, one recording, and every stage between them."""

    def __init__(
        self,
        model: IntegerModel,
        engine: Engine,
        samples: NDArray[np.float32],
        expected: NDArray[np.int64],
    ) -> None:
        """``expected``: the reference's logits of ``samples`` [N], int64[T, V]."""
        output = model.layers[-1]
        if not isinstance(output, OutputLayer):
            raise BenchmarkError("the last layer of the model is no output layer")
        self._engine = engine
        self._samples = samples
        self._expected = expected
        self._scale = output.scale
        self._front_end = FrontEnd.of_model(model)
        self._alphabet = Alphabet(model.labels)
        self._frame_duration_s = self._front_end.config.frame_duration_s
        self._windows = self._front_end.windows(samples)

    def features(self, rounds: int) -> Timing:
        """Samples to uint8 windows."""

        def check(windows: NDArray[np.uint8]) -> None:
            if not np.array_equal(windows, self._windows):
                raise BenchmarkError("two runs of the feature extraction differ")

        return time_call(
            "features", lambda: self._front_end.windows(self._samples), rounds=rounds, check=check
        )

    def softmax(self, rounds: int) -> Timing:
        """Logits to log-probabilities."""
        return time_call("softmax", lambda: log_softmax(self._expected, self._scale), rounds=rounds)

    def greedy(self, rounds: int) -> Timing:
        """Log-probabilities to text by the best path."""
        scores = log_softmax(self._expected, self._scale)
        return self._timed_decoding("greedy", lambda: self._greedy(scores), rounds)

    def beam(
        self, language_model: LanguageModel, scores: NDArray[np.float32], rounds: int
    ) -> Timing:
        """Log-probabilities float32[T, V] to text by beam search with ``language_model``."""
        decoder = BeamSearchDecoder(
            self._alphabet, BEAM_WIDTH, language_model, frame_duration_s=self._frame_duration_s
        )
        return self._timed_decoding("beam", lambda: decoder.decode(scores), rounds)

    def end_to_end(self, rounds: int) -> Timing:
        """Samples to text: features, acoustic model, log-softmax, greedy decoding."""
        text = self._greedy(log_softmax(self._expected, self._scale)).text

        def run() -> tuple[NDArray[np.int64], Transcript]:
            logits = self._engine.run(self._front_end.windows(self._samples))
            return logits, self._greedy(log_softmax(logits, self._scale))

        def check(outcome: tuple[NDArray[np.int64], Transcript]) -> None:
            check_equal("end to end", outcome[0], self._expected)
            if outcome[1].text != text:
                raise BenchmarkError("the text of an end-to-end run differs from the reference's")

        return time_call("end to end", run, rounds=rounds, check=check)

    def _greedy(self, scores: NDArray[np.float32]) -> Transcript:
        return greedy_decode(scores, self._alphabet, self._frame_duration_s)

    def _timed_decoding(self, name: str, decode: Callable[[], Transcript], rounds: int) -> Timing:
        text = decode().text

        def check(transcript: Transcript) -> None:
            if transcript.text != text:
                raise BenchmarkError(f"two runs of the {name} decoding give different texts")

        return time_call(name, decode, rounds=rounds, check=check)
