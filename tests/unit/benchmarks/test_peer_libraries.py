"""Each library runs the network of the model: its logits are nearly ours."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.benchmarks.float_network import FloatNetwork, float_network
from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.lstmp import lstmp_model
from sparsespeech.benchmarks.peers import PEERS
from sparsespeech.benchmarks.peers_mkl import find_library
from sparsespeech.benchmarks.product_models import product_model, random_product, random_vectors
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor

WHOLE_MODEL = [name for name in PEERS if name not in ("mkl", "deepsparse", "torch_fp32_avx2")]
LOWEST_CORRELATION = {"fp32": 0.995, "bf16": 0.995, "int8": 0.97}


def _outputs(name: str, network: FloatNetwork, windows: NDArray[np.uint8]) -> NDArray[np.float64]:
    kind = PEERS[name]
    for library in kind.libraries:
        if library != "mkl":
            pytest.importorskip(library)
    module = importlib.import_module(kind.module)
    peer = module.prepare(network, windows, 1, kind.precision)
    peer.run()
    return np.asarray(peer.finish(peer.run()), dtype=np.float64)


@pytest.mark.parametrize("name", WHOLE_MODEL)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_whole_networks(name: str, bidirectional: bool) -> None:
    model = make_random_model(48, bidirectional=bidirectional)
    speech = FrontEnd.of_model(model).windows(bundled_speech(0.4))
    batch = np.stack([speech, speech[::-1]], axis=1)
    outputs = _outputs(name, float_network(model), batch)
    for number in range(2):
        expected = ReferenceExecutor(model).run(np.ascontiguousarray(batch[:, number]))
        correlation = np.corrcoef(outputs[:, number].ravel(), expected.ravel())[0, 1]
        assert correlation > LOWEST_CORRELATION[PEERS[name].precision]


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_torch_runs_projections() -> None:
    windows = random_vectors(20, 153)
    model = lstmp_model(32, windows)
    outputs = _outputs("torch_fp32", float_network(model), windows[:, np.newaxis])[:, 0]
    nats = ReferenceExecutor(model).run(windows) * model.layers[-1].scale
    assert np.corrcoef(outputs.ravel(), nats.ravel())[0, 1] > 0.99


def test_onnx_has_no_projection() -> None:
    pytest.importorskip("onnx")
    network = float_network(lstmp_model(64, random_vectors(10, 153)))
    onnx_graph = importlib.import_module("sparsespeech.benchmarks.onnx_graph")
    with pytest.raises(UnsupportedLayerError, match="no projection"):
        onnx_graph.onnx_model(network, 10, 1)


@pytest.mark.skipif(find_library() is None, reason="the mkl wheel is not installed")
@pytest.mark.parametrize("vectors", [1, 5])
def test_products_of_mkl(vectors: int) -> None:
    matrix = random_product(50, 40, 0.2)
    windows = random_vectors(vectors, 40)
    model = product_model(matrix)
    outputs = _outputs("mkl", float_network(model), windows[:, np.newaxis])
    assert np.array_equal(outputs[:, 0], ReferenceExecutor(model).run(windows))


@pytest.mark.skipif(find_library() is None, reason="the mkl wheel is not installed")
def test_mkl_runs_every_product_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    peers_mkl = importlib.import_module("sparsespeech.benchmarks.peers_mkl")
    calls: list[str] = []
    original = peers_mkl._Library.call
    monkeypatch.setattr(
        peers_mkl._Library,
        "call",
        lambda self, name, *rest: calls.append(name) or original(self, name, *rest),
    )
    network = float_network(make_random_model(16))
    peer = peers_mkl.prepare(network, random_vectors(7, 494)[:, np.newaxis], 1, "fp32")
    calls.clear()
    peer.run()
    assert calls.count("mkl_sparse_s_mv") == 2 * 7  # the recurrent products, one a frame
    assert calls.count("mkl_sparse_s_mm") == 5 + 2  # fully connected layers and input parts


def test_deepsparse_is_not_imported_here() -> None:
    assert "deepsparse" not in sys.modules
