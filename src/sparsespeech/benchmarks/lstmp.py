"""``bench lstmp``: three projected LSTM layers, 153 inputs, 2048 cells, 1024 outputs, 100 frames.

The performance slide of S4 (ESE): density 17.76 %, 32 channels in parallel. S4's network has 12-bit
weights and 16-bit activations; here both have 8 bits. An output layer of 29 rows reads the last
layer, because a model ends in one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.comparison import Settings, compare
from sparsespeech.benchmarks.engine_profile import engine_limits, layer_rows, limit_row
from sparsespeech.benchmarks.measurement import milliseconds
from sparsespeech.benchmarks.random_models import random_integer_model
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.work import stepwise_bytes
from sparsespeech.graph import lstmp
from sparsespeech.model_file.model import InputQuantization, IntegerModel

INPUTS, CELLS, PROJECTION, LAYERS = 153, 2048, 1024, 3
DENSITY = 0.1776
FRAMES = 100
CHANNELS = (1, 32)
LABELS = 29
QUICK_DIVISOR = 8  # of cells and projection
LAYER_RUNS = 10
DISTINCT_UTTERANCES = 4  # among 32 channels: the reference is slow
PEERS_OF_LSTMP = ("torch_fp32", "mkl")
PAPER_ROWS = (  # S4, 32 channels
    {"platform": "Xeon E5-2690 v4", "latency_ms": 18155.22},
    {"platform": "NVIDIA P4", "latency_ms": 264.9576},
    {"platform": "ESE on KU115", "latency_ms": 133.778},
)


@dataclass(frozen=True)
class LstmpOptions:
    """``divisor`` makes the layers narrower, for a quick look."""

    settings: Settings
    divisor: int = 1


def run_lstmp(options: LstmpOptions) -> BenchResult:
    """Measure 1 and 32 channels; raises BenchmarkError for wrong logits or a failed peer."""
    settings = options.settings
    rng = np.random.default_rng(1)
    utterances = [_utterance(rng) for _ in range(DISTINCT_UTTERANCES)]
    model = lstmp_model(options.divisor, utterances[0])
    result = BenchResult(
        "lstmp",
        {
            "inputs": INPUTS,
            "cells": CELLS // options.divisor,
            "projection": PROJECTION // options.divisor,
            "layers": LAYERS,
            "density": DENSITY,
            "frames": FRAMES,
            "threads": settings.threads,
            "rounds": settings.rounds,
        },
    )
    for channels in CHANNELS:
        settings.on_progress(f"{channels} channels")
        batch = [utterances[number % DISTINCT_UTTERANCES] for number in range(channels)]
        windows = utterances[0] if channels == 1 else np.stack(batch, axis=1)
        compared = compare(model, windows, settings, PEERS_OF_LSTMP)
        compared.record(result, "channels", channels=channels)
        plural = "channel" if channels == 1 else "channels"
        result.figures[f"ms_{channels}_{plural}"] = milliseconds(compared.ours.median)
        for name, ratio in compared.ratios.items():
            result.figures[f"ratio_{name}_{channels}_{plural}"] = ratio
        engine = compared.engine
        limits = engine_limits(engine, stepwise_bytes(engine) // settings.threads)
        row = limit_row(engine, FRAMES, compared.ours.median, limits, batch=channels)
        result.add_rows("work", {"channels": channels, **row})
        if channels == 1:
            result.add_rows("layers", *layer_rows(engine, windows, compared.expected, LAYER_RUNS))
    result.add_rows("published", *PAPER_ROWS)
    return result


def lstmp_model(divisor: int, windows: NDArray[np.uint8]) -> IntegerModel:
    """The network with random weights, calibrated on ``windows`` uint8[T, 153]."""
    cells, projection = CELLS // divisor, PROJECTION // divisor
    graph = lstmp(cells, projection=projection, inputs=INPUTS, labels=LABELS, layers=LAYERS)
    return random_integer_model(
        graph,
        windows,
        features={},
        input_quantization=InputQuantization(np.zeros(INPUTS), np.ones(INPUTS), 1.0, 128),
        labels=tuple(map(str, range(LABELS - 1))),
        density=DENSITY,
    )


def _utterance(rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random walk in each input, uint8[T, 153]: neighbouring frames resemble each other."""
    steps = rng.normal(0, 0.5, (FRAMES, INPUTS))
    values = np.empty_like(steps)
    value = rng.normal(0, 1, INPUTS)
    for frame, step in enumerate(steps):
        value = 0.9 * value + step
        values[frame] = value
    return np.clip(np.rint(128 + 32 * values), 0, 255).astype(np.uint8)
