"""The float network of an integer model gives nearly its logits, and survives its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsespeech.benchmarks.float_network import (
    FloatLinear,
    float_network,
    load_network,
    save_network,
)
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.lstmp import lstmp_model
from sparsespeech.benchmarks.product_models import product_model, random_product, random_vectors
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from tests.numpy_peer import forward
from tests.random_models import random_integer_model


def _nats(model: IntegerModel, windows: np.ndarray) -> np.ndarray:
    return ReferenceExecutor(model).run(windows) * model.layers[-1].scale


@pytest.mark.parametrize("bidirectional", [True, False])
def test_random_deepspeech(bidirectional: bool) -> None:
    model = make_random_model(64, bidirectional=bidirectional)
    windows = FrontEnd.of_model(model).windows(bundled_speech(0.5))
    ours = _nats(model, windows)
    theirs = forward(float_network(model), windows[:, np.newaxis])[:, 0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.995


def test_a_trained_model() -> None:
    model = read_model(resolve_model("english-small"))
    windows = FrontEnd.of_model(model).windows(bundled_speech(0.4))
    ours = _nats(model, windows)
    theirs = forward(float_network(model), windows[:, np.newaxis])[:, 0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999


def test_projection() -> None:
    windows = random_vectors(30, 153)
    model = lstmp_model(32, windows)
    ours = _nats(model, windows)
    theirs = forward(float_network(model), windows[:, np.newaxis])[:, 0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_scales_and_biases_of_rows() -> None:
    """Gates of these models saturate, so only what stands before the LSTM is compared."""
    model = random_integer_model(np.random.default_rng(3), hidden=12, per_row=True)
    first = float_network(model).layers[0]
    assert isinstance(first, FloatLinear)
    windows = np.random.default_rng(4).integers(0, 256, (20, 494), dtype=np.uint8)
    x = windows - float(model.input.zero_point)
    theirs = np.clip(x @ first.weights.dense().T + first.bias, first.low, first.high)
    ours = ReferenceExecutor(model)._layers[0][1](windows) - model.layers[0].output_zero_point
    assert np.abs(ours - theirs).max() < 0.6  # half a step and the rest of the multiplier


def test_a_product_is_exact() -> None:
    matrix = random_product(20, 30, 0.3)
    vectors = random_vectors(7, 30)
    network = float_network(product_model(matrix))
    expected = ReferenceExecutor(product_model(matrix)).run(vectors)
    assert np.array_equal(forward(network, vectors[:, np.newaxis])[:, 0], expected)


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    windows = random_vectors(10, 153)
    for model in (lstmp_model(64, windows), make_random_model(32)):
        network = float_network(model)
        save_network(network, tmp_path / "network.npz")
        restored = load_network(tmp_path / "network.npz")
        inputs = random_vectors(10, network.inputs)[:, np.newaxis]
        assert restored.inputs == network.inputs
        assert np.array_equal(forward(restored, inputs), forward(network, inputs))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"wide": True}, "8-bit"),
        ({"peephole": True}, "neither peepholes nor summed"),
        ({"merge": "sum"}, "neither peepholes nor summed"),
        ({"convolution": True}, "no ConvolutionLayer"),
    ],
)
def test_what_no_peer_runs_is_refused(changes: dict[str, object], reason: str) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=6, **changes)
    with pytest.raises(UnsupportedLayerError, match=reason):
        float_network(model)
