"""The recurrent product of an LSTM alone, N = 1, one thread: the engine beside MKL.

Axes: T frames, H cells, C inputs.

The engine has no door for a bare recurrent product, so two LSTMs of one direction are timed that
differ in nothing but their recurrent weights: the ones in question, and none. The difference of
their medians, a frame, is the product; the second alone is gates, cell and output.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.comparison import (
    Settings,
    engine_contender,
    expected_logits,
)
from sparsespeech.benchmarks.engine import Windows
from sparsespeech.benchmarks.float_network import float_network
from sparsespeech.benchmarks.measurement import Timing, take_turns
from sparsespeech.benchmarks.peers import PEERS, agreement, started_peers
from sparsespeech.benchmarks.product_models import (
    lstm_model,
    product_model,
    random_product,
    random_vectors,
    spreading_requantizer,
    zero_point_bias,
)
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.errors import BenchmarkError
from sparsespeech.model_file.model import IntegerModel, LstmDirection, LstmLayer, SparseMatrix

PEERS_OF_PRODUCT = ("mkl", "deepsparse")
FRAMES = 200  # of the two LSTMs: a call costs a few microseconds
_INPUTS = 16  # of the two LSTMs: enough to keep the gates moving
_GATE_SPREAD = 2.0**12  # gate inputs up to about +-2.0 in Q4.11
_SMALL = 16  # rows and columns of a product that is all overhead


@dataclass(frozen=True)
class RecurrentLatency:
    """Seconds of one frame."""

    product: float
    step: float  # product, gates, cell and output
    ratios: dict[str, float]  # of a peer's product to ours


def recurrent_direction(model: IntegerModel) -> LstmDirection:
    """The forward direction of the first LSTM; BenchmarkError without one."""
    for layer in model.layers:
        if isinstance(layer, LstmLayer):
            return layer.forward
    raise BenchmarkError("the model has no LSTM layer, so there is no recurrent product to time")


def time_recurrent_product(
    direction: LstmDirection, settings: Settings, result: BenchResult, **columns: object
) -> RecurrentLatency:
    """Time the recurrent weights [4H, H] of ``direction`` on one thread beside MKL and DeepSparse.

    Adds rows to ``result``. Raises BenchmarkError for wrong logits or a failed peer.
    """
    matrix = direction.recurrent_weights
    vector = random_vectors(1, matrix.shape[1])
    windows = random_vectors(FRAMES, _INPUTS)
    with_product, without = (
        engine_contender(name, settings.make_engine(model, threads=1), windows, expected)
        for name, model, expected in _lstms(direction, windows)
    )
    accumulators = product_model(matrix)
    names, _ = settings.peers.among(PEERS_OF_PRODUCT)
    settings.on_progress(f"recurrent product, one thread {' '.join(names)}".rstrip())
    with started_peers(
        names, float_network(accumulators), vector, threads=1, choice=settings.peers
    ) as peers:
        expected = expected_logits(accumulators, vector).astype(np.float64)
        agreements = {name: agreement(peer, expected) for name, peer in peers.items()}
        timings = take_turns(with_product, [without, *peers.values()], rounds=settings.rounds)
    step, gates = (timings[name].median / FRAMES for name in ("step", "gates"))
    product = step - gates
    rows: list[Row] = [
        {"what": "ours: product", "median_us": 1e6 * product, "ratio": 1.0},
        {"what": "ours: gates, cell, output", "median_us": 1e6 * gates},
    ]
    ratios = {}
    for name in names:
        ratios[name] = timings[name].median / product
        row = {"what": PEERS[name].title, "median_us": 1e6 * timings[name].median}
        rows.append(row | {"ratio": ratios[name]} | agreements[name])
    nonzeros = {"nonzeros": matrix.nonzeros}
    result.add_rows("recurrent product, one thread", *(columns | row | nonzeros for row in rows))
    return RecurrentLatency(product, step, ratios)


def _lstms(
    direction: LstmDirection, windows: Windows
) -> list[tuple[str, IntegerModel, NDArray[np.int64]]]:
    """The two LSTMs: name, model, reference's logits of ``windows``."""
    matrix = direction.recurrent_weights
    small = random_product(matrix.shape[0], _INPUTS, 0.5)
    fed = replace(
        direction,
        input_weights=small,
        input_bias=zero_point_bias(small),
        input_requantize=spreading_requantizer(small, _GATE_SPREAD),
    )
    idle = replace(
        fed,
        recurrent_weights=_without_weights(matrix),
        recurrent_bias=np.zeros(matrix.shape[0], dtype=np.int64),
    )
    models = {"step": lstm_model(fed), "gates": lstm_model(idle)}
    return [(name, model, expected_logits(model, windows)) for name, model in models.items()]


def _without_weights(matrix: SparseMatrix) -> SparseMatrix:
    return SparseMatrix(
        matrix.shape,
        np.zeros(matrix.shape[0] + 1, dtype=np.int64),
        np.zeros(0, dtype=np.int32),
        np.zeros(0, dtype=np.int8),
    )


def call_overhead(settings: Settings) -> Timing:
    """What a call of the engine costs that multiplies next to nothing."""
    model = product_model(random_product(_SMALL, _SMALL, 0.5))
    vector = random_vectors(1, _SMALL)
    engine = settings.make_engine(model, threads=1)
    contender = engine_contender("call", engine, vector, expected_logits(model, vector))
    return take_turns(contender, [], rounds=settings.rounds)["call"]
