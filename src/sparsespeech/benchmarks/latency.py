"""``bench latency``: what one second of audio costs, batch 1.

S2 Table V and the stage table of S4: the whole acoustic model beside whole-model peers, the
recurrent product beside MKL, features, decoding and end to end; random weights at full size, and
the same for a trained model (figures with the suffix ``_trained``).

The decoders read log-probabilities of the trained model: those of random weights are no speech, and
the time of a beam search depends on them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.comparison import Comparison, Settings, compare
from sparsespeech.benchmarks.engine import reference_logits
from sparsespeech.benchmarks.engine_profile import engine_limits, layer_rows, limit_row
from sparsespeech.benchmarks.measurement import Timing, milliseconds, time_call
from sparsespeech.benchmarks.peers import PeerChoice
from sparsespeech.benchmarks.random_matrices import Pattern
from sparsespeech.benchmarks.random_models import random_integer_model
from sparsespeech.benchmarks.recurrent_latency import (
    RecurrentLatency,
    call_overhead,
    recurrent_direction,
    time_recurrent_product,
)
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_recordings, bundled_speech
from sparsespeech.benchmarks.stage_latency import (
    BEAM_WIDTH,
    NGRAM_ORDER,
    Stages,
    bundled_texts,
    ngram_language_model,
)
from sparsespeech.benchmarks.work import stepwise_bytes
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.language_model import LanguageModel
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.errors import BenchmarkError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Lstm, deepspeech
from sparsespeech.model_file.model import IntegerModel, OutputLayer

SECONDS = 1.0
HIDDEN, QUICK_HIDDEN = 2048, 256
DENSITY = 0.04
SEED = 1
CALIBRATION_SECONDS = 10.0
LABELS = tuple(" abcdefghijklmnopqrstuvwxyz'")
LAYER_RUNS = 20
WHOLE_MODEL_PEERS = (
    "onnxruntime_int8",
    "torch_int8",
    "openvino_bf16",
    "torch_bf16",
    "onnxruntime_fp32",
    "openvino_fp32",
    "torch_fp32",
)
PAPER_ROWS = (  # S2 Table V and S4, one second of audio, batch 1
    {"platform": "2S Xeon Gold 6140M, float32 (S2)", "latency_ms": 349.0},
    {"platform": "NVIDIA V100, float32 (S2)", "latency_ms": 10.1},
    {"platform": "MAU on Stratix 10, sparse int8 (S2)", "latency_ms": 0.343},
)


@dataclass(frozen=True)
class LatencyOptions:
    """``hidden`` is the width of the random model; ``language_texts`` feed the 3-gram model."""

    settings: Settings
    trained: IntegerModel
    hidden: int = HIDDEN
    language_texts: tuple[Path, ...] = ()


def run_latency(options: LatencyOptions) -> BenchResult:
    """Measure everything; raises BenchmarkError for wrong logits or a failed peer."""
    settings = options.settings
    texts = list(options.language_texts) or bundled_texts()
    result = BenchResult(
        "latency",
        {
            "seconds_of_audio": SECONDS,
            "threads": settings.threads,
            "rounds": settings.rounds,
            "hidden": options.hidden,
            "density": DENSITY,
            "seed": SEED,
            "beam_width": BEAM_WIDTH,
            "ngram_order": NGRAM_ORDER,
        },
    )
    samples = bundled_speech(SECONDS)
    language_model = ngram_language_model(texts)
    result.config["ngram_counts"] = list(language_model.counts)
    scores = _speech_scores(options.trained, samples)
    random_model = make_random_model(options.hidden)
    for suffix, model in (("", random_model), ("_trained", options.trained)):
        settings.on_progress(f"the {'trained' if suffix else 'random'} model")
        measure = _ModelLatency(result, settings, model, samples, suffix)
        measure.acoustic_model()
        measure.stages(language_model, scores)
        measure.avx2()
        measure.recurrent_product()
    _bank_balanced(result, settings, options.hidden, samples)
    _small_realtime_factor(result, settings, options.trained)
    overhead = call_overhead(settings)
    result.add_rows("overhead", {"what": "call of the engine, 16x16", **overhead.to_row()})
    result.add_rows("published", *PAPER_ROWS)
    return result


def make_random_model(
    hidden: int, *, pattern: Pattern = "unstructured", bidirectional: bool = True
) -> IntegerModel:
    """DeepSpeech of Table I of S2 with random weights; 2048 gives its 122.75 M parameters."""
    config = MfccConfig()
    front_end = FrontEnd.fitted(config, bundled_speech(CALIBRATION_SECONDS))
    return random_integer_model(
        deepspeech(hidden, bidirectional=bidirectional),
        front_end.windows(bundled_speech(SECONDS)),
        features=config.to_json(),
        input_quantization=front_end.quantization,
        labels=LABELS,
        density=DENSITY,
        pattern=pattern,
        seed=SEED,
    )


class _ModelLatency:
    """The measurements of one model; ``suffix`` ends the names of its figures and tables."""

    def __init__(
        self,
        result: BenchResult,
        settings: Settings,
        model: IntegerModel,
        samples: NDArray[np.float32],
        suffix: str,
    ) -> None:
        self._result = result
        self._settings = settings
        self._model = model
        self._samples = samples
        self._suffix = suffix
        self._weights = "trained" if suffix else "random"
        self._windows = FrontEnd.of_model(model).windows(samples)
        self._expected = reference_logits(model, self._windows)

    def acoustic_model(self) -> None:
        """acoustic_ms and the ratio to each peer; layers; limits."""
        compared = compare(self._model, self._windows, self._settings, (*WHOLE_MODEL_PEERS, "mkl"))
        self._figure("acoustic_ms", milliseconds(compared.ours.median))
        for name, ratio in compared.ratios.items():
            self._figure("ratio_mkl_sum" if name == "mkl" else f"ratio_{name}", ratio)
        self._add(compared, "acoustic model")
        engine, frames = compared.engine, len(self._windows)
        self._engine = engine
        self._layers = layer_rows(engine, self._windows, self._expected, LAYER_RUNS)
        self._rows("layers", *self._layers)
        limits = engine_limits(engine, stepwise_bytes(engine))
        if limits is not None:
            self._rows("limits", limits.to_row())
        seconds = compared.ours.median
        self._rows("work", limit_row(engine, frames, seconds, limits))

    def stages(self, language_model: LanguageModel, scores: NDArray[np.float32]) -> None:
        """features_ms, softmax_ms, greedy_ms, beam_ms and end_to_end_ms."""
        stages = Stages(self._model, self._engine, self._samples, self._expected)
        rounds = self._settings.rounds
        timings: list[Timing] = [stages.features(rounds), stages.softmax(rounds)]
        timings.append(stages.greedy(rounds))
        timings.append(stages.beam(language_model, scores, rounds))
        timings.append(stages.end_to_end(rounds))
        for timing in timings:
            self._figure(f"{timing.name.replace(' ', '_')}_ms", milliseconds(timing.median))
        self._rows("stages", *(timing.to_row() for timing in timings))

    def avx2(self) -> None:
        """acoustic_ms_avx2 and ratio_avx2_torch_fp32, where the processor has AVX2."""
        if "avx2" not in self._result.machine["cpu_flags"]:
            return
        compared = compare(
            self._model,
            self._windows,
            self._settings,
            ("torch_fp32_avx2",),
            instruction_set="avx2",
        )
        self._figure("acoustic_ms_avx2", milliseconds(compared.ours.median))
        for ratio in compared.ratios.values():
            self._figure("ratio_avx2_torch_fp32", ratio)
        self._add(compared, "acoustic model, AVX2 only")

    def recurrent_product(self) -> None:
        """recurrent_us and ratio_recurrent_mkl; the parts of the LSTM layer."""
        timed = time_recurrent_product(
            recurrent_direction(self._model), self._settings, self._result, weights=self._weights
        )
        self._figure("recurrent_us", 1e6 * timed.product)
        for name, ratio in timed.ratios.items():
            self._figure(f"ratio_recurrent_{name}", ratio)
        self._rows("lstm layer in parts", *self._lstm_parts(timed))

    def _lstm_parts(self, timed: RecurrentLatency) -> list[Row]:
        """The first LSTM layer's time by parts; the input part is what the others leave."""
        number, entry = next(
            (number, entry)
            for number, entry in enumerate(self._model.graph.layers)
            if isinstance(entry, Lstm)
        )
        turns = 2 if entry.bidirectional and self._engine.threads == 1 else 1
        steps = turns * len(self._windows)  # one after the other on one thread
        product = milliseconds(steps * timed.product)
        gates = milliseconds(steps * (timed.step - timed.product))
        whole = self._layers[number]["median_ms"]
        parts = {"recurrent products": product, "gates, cell, output": gates}
        parts["input part and waiting"] = whole - product - gates
        return [{"part": part, "ms": value, "steps": steps} for part, value in parts.items()]

    def _figure(self, name: str, value: float) -> None:
        self._result.figures[name + self._suffix] = value

    def _add(self, compared: Comparison, table: str) -> None:
        compared.record(self._result, table, weights=self._weights)

    def _rows(self, table: str, *rows: Row) -> None:
        self._result.add_rows(table, *({"weights": self._weights, **row} for row in rows))


def _speech_scores(trained: IntegerModel, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-probabilities float32[T, V] of ``trained``, which must have the classes of DeepSpeech."""
    if trained.labels != LABELS and len(trained.labels) != len(LABELS):
        raise BenchmarkError(
            f"the trained model writes {len(trained.labels)} symbols, the random one "
            f"{len(LABELS)}; take a model with the same number"
        )
    logits = reference_logits(trained, FrontEnd.of_model(trained).windows(samples))
    output = trained.layers[-1]
    assert isinstance(output, OutputLayer)
    return log_softmax(logits, output.scale)


def _bank_balanced(
    result: BenchResult, settings: Settings, hidden: int, samples: NDArray[np.float32]
) -> None:
    """acoustic_ms_bank_balanced and recurrent_us_bank_balanced: the engine alone."""
    settings.on_progress("the random model with bank-balanced weights")
    model = make_random_model(hidden, pattern="bank-balanced")
    windows = FrontEnd.of_model(model).windows(samples)
    compared = compare(model, windows, settings, ())
    result.figures["acoustic_ms_bank_balanced"] = milliseconds(compared.ours.median)
    row = {"weights": "bank-balanced", **compared.ours.to_row()}
    result.add_rows("acoustic model, bank-balanced", row)
    timed = time_recurrent_product(
        recurrent_direction(model),
        replace(settings, peers=PeerChoice(())),
        result,
        weights="bank-balanced",
    )
    result.figures["recurrent_us_bank_balanced"] = 1e6 * timed.product


def _small_realtime_factor(result: BenchResult, settings: Settings, trained: IntegerModel) -> None:
    """Seconds of the bundled recordings transcribed in a second by one thread."""
    engine = settings.make_engine(trained, threads=1)
    front_end = FrontEnd.of_model(trained)
    output = trained.layers[-1]
    assert isinstance(output, OutputLayer)
    alphabet = Alphabet(trained.labels)
    frame_duration_s = front_end.config.frame_duration_s
    recordings = bundled_recordings()

    def transcribe() -> list[str]:
        texts = []
        for samples in recordings:
            logits = engine.run(front_end.windows(samples))
            scores = log_softmax(logits, output.scale)
            texts.append(greedy_decode(scores, alphabet, frame_duration_s).text)
        return texts

    expected = [
        greedy_decode(
            log_softmax(reference_logits(trained, front_end.windows(samples)), output.scale),
            alphabet,
            frame_duration_s,
        ).text
        for samples in recordings
    ]

    def check(texts: list[str]) -> None:
        if texts != expected:
            raise BenchmarkError("the bundled recordings give other texts than the reference")

    timing = time_call("bundled recordings", transcribe, rounds=settings.rounds, check=check)
    duration = sum(map(len, recordings)) / front_end.config.sample_rate_hz
    result.figures["small_realtime_factor"] = duration / timing.median
    row = {"seconds_of_audio": duration, "threads": 1, **timing.to_row()}
    result.add_rows("all bundled recordings, one thread", row)
