"""``bench throughput``: live streams at a stated latency, and batches of whole utterances.

Streams: the unidirectional DeepSpeech at full size; a chunk of 320 ms must be done within 60 ms at
the 99th percentile. Batches: the bidirectional one on utterances of one second, in dense-equivalent
TOPS as in S2 Table IV.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.comparison import Settings, compare
from sparsespeech.benchmarks.engine_profile import engine_limits, limit_row
from sparsespeech.benchmarks.latency import DENSITY, HIDDEN, make_random_model
from sparsespeech.benchmarks.measurement import milliseconds
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.benchmarks.stream_load import (
    CHUNK_FRAMES,
    Arrivals,
    LoadResult,
    SpokenChunks,
    StreamLoad,
    most_streams,
)
from sparsespeech.benchmarks.work import work_of
from sparsespeech.model_file.model import IntegerModel

LIMIT_SECONDS = 0.060
FIRST_STREAMS = 16
CHUNKS_OF_UTTERANCE = 8
UTTERANCES = 4
CHUNKS_EACH, QUICK_CHUNKS_EACH = 40, 8
BATCHES = (1, 4, 16, 64)
BATCH_FRAMES = 50
PEER_BATCH = 16
PEERS_OF_BATCH = ("onnxruntime_int8", "torch_int8", "openvino_bf16")
PAPER_ROWS = (  # S2 Table IV
    {"platform": "MAU on Stratix 10, sparse int8", "batch": 1, "effective_tops": 54.0},
    {"platform": "2S Xeon Gold 6140M, float32", "batch": 16, "effective_tops": 0.327},
    {"platform": "NVIDIA V100, float16", "batch": 256, "effective_tops": 53.37},
)
FIGURES: dict[Arrivals, tuple[str, str]] = {
    "together": ("streams", "p99_ms"),
    "spread": ("streams_spread", "p99_ms_spread"),
}


@dataclass(frozen=True)
class ThroughputOptions:
    """``hidden`` is the width of the model, ``chunks_each`` the length of each live stream."""

    settings: Settings
    hidden: int = HIDDEN
    chunks_each: int = CHUNKS_EACH
    batches: tuple[int, ...] = BATCHES


def run_throughput(options: ThroughputOptions) -> BenchResult:
    """Measure both; raises BenchmarkError for wrong logits or a failed peer."""
    result = BenchResult(
        "throughput",
        {
            "hidden": options.hidden,
            "density": DENSITY,
            "threads": options.settings.threads,
            "rounds": options.settings.rounds,
            "limit_ms": 1000 * LIMIT_SECONDS,
            "chunk_frames": CHUNK_FRAMES,
            "chunks_each": options.chunks_each,
        },
    )
    _streams(result, options)
    _batches(result, options)
    result.add_rows("published", *PAPER_ROWS)
    return result


def _streams(result: BenchResult, options: ThroughputOptions) -> None:
    """streams and p99_ms, for chunks that come together and for chunks that come evenly spread."""
    model = make_random_model(options.hidden, bidirectional=False)
    engine = options.settings.make_engine(model, threads=options.settings.threads)
    utterances = _utterances(model, UTTERANCES, CHUNKS_OF_UTTERANCE * CHUNK_FRAMES)
    load = StreamLoad(engine, SpokenChunks.of(model, utterances))
    result.config["state_bytes"] = int(getattr(engine.stream(), "state_bytes", 0))
    for arrivals, (streams_figure, p99_figure) in FIGURES.items():
        options.settings.on_progress(f"live streams whose chunks come {arrivals}")
        best, tried = most_streams(
            load,
            arrivals,
            limit_seconds=LIMIT_SECONDS,
            chunks_each=options.chunks_each,
            first=FIRST_STREAMS,
        )
        result.add_rows("streams", *(_load_row(each, arrivals) for each in tried))
        result.figures[streams_figure] = float(best.streams if best else 0)
        if best is not None:
            result.figures[p99_figure] = milliseconds(best.p99)


def _batches(result: BenchResult, options: ThroughputOptions) -> None:
    """batch_effective_tops: the best batch; peers beside one batch."""
    settings = options.settings
    model = make_random_model(options.hidden)
    utterances = _utterances(model, UTTERANCES, BATCH_FRAMES)
    best = 0.0
    for batch in options.batches:
        settings.on_progress(f"batch {batch}")
        chosen = [utterances[number % UTTERANCES] for number in range(batch)]
        candidates = PEERS_OF_BATCH if batch == PEER_BATCH else ()
        compared = compare(model, np.stack(chosen, axis=1), settings, candidates)
        engine, seconds = compared.engine, compared.ours.median
        work = work_of(engine, BATCH_FRAMES, batch=batch)
        for row in compared.rows:
            row["effective_tops"] = work.dense_operations / (row["median_ms"] / 1e3) / 1e12
            row["audio_s_per_s"] = batch * BATCH_FRAMES * 0.02 / (row["median_ms"] / 1e3)
        compared.record(result, "batches", batch=batch)
        limits = engine_limits(engine, engine.packed_bytes // settings.threads)
        row = limit_row(engine, BATCH_FRAMES, seconds, limits, batch=batch)
        result.add_rows("work", {"batch": batch, **row})
        best = max(best, work.dense_operations / seconds / 1e12)
    result.figures["batch_effective_tops"] = best


def _utterances(model: IntegerModel, count: int, frames: int) -> list[NDArray[np.uint8]]:
    """Different stretches of the bundled recordings, uint8[frames, W] each."""
    front_end = FrontEnd.of_model(model)
    stride, length = front_end.config.stride, front_end.config.window_length
    samples = (frames - 1) * stride + length
    speech = bundled_speech(count * samples / front_end.config.sample_rate_hz)
    return [front_end.windows(piece)[:frames] for piece in np.split(speech, count)]


def _load_row(load: LoadResult, arrivals: Arrivals) -> dict[str, object]:
    return {
        "arrivals": arrivals,
        "streams": load.streams,
        "p99_ms": milliseconds(load.p99),
        "median_ms": milliseconds(float(np.median(load.latencies))),
        "largest_step": load.largest_step,
        "busy": load.busy,
    }
