"""Random models are models that a reader accepts, and their activations are alive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsespeech.benchmarks.latency import make_random_model
from sparsespeech.benchmarks.lstmp import lstmp_model
from sparsespeech.benchmarks.product_models import random_vectors
from sparsespeech.benchmarks.random_matrices import PATTERNS, Pattern
from sparsespeech.benchmarks.random_models import random_integer_model
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_speech
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.graph import Conv2d, Graph, Lstm, Output, deepspeech
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import InputQuantization, IntegerModel
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import count_parameters
from sparsespeech.model_file.writer import write_model


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_model_passes_every_proof_of_the_reader(
    tmp_path: Path, pattern: Pattern, bidirectional: bool
) -> None:
    model = make_random_model(64, pattern=pattern, bidirectional=bidirectional)
    write_model(model, tmp_path / "random.safetensors")
    assert read_model(tmp_path / "random.safetensors").graph == model.graph
    assert model.graph == deepspeech(64, bidirectional=bidirectional)


def test_activations_are_neither_dead_nor_saturated() -> None:
    model = make_random_model(128)
    windows = FrontEnd.of_model(model).windows(bundled_speech(1.0))
    for name, activations in _activations(model, windows):
        changing = activations.std(axis=0)
        assert np.mean(changing > 5) > 0.9, name  # of 255 steps, over time
        assert np.mean(activations == 255) < 0.02, name
        assert np.mean(activations == 0) < 0.6, name  # ReLU: about half
    logits = ReferenceExecutor(model).run(windows)
    assert len(set(logits.argmax(axis=1).tolist())) > 5


def test_the_full_size_has_the_parameters_of_the_paper() -> None:
    assert count_parameters(deepspeech(2048)) == pytest.approx(122.75e6, rel=1e-4)


def test_a_projected_network_is_alive_too(tmp_path: Path) -> None:
    windows = random_vectors(40, 153)
    model = lstmp_model(32, windows)
    for name, activations in _activations(model, windows):
        assert np.mean(activations.std(axis=0) > 5) > 0.9, name
        assert np.mean((activations == 0) | (activations == 255)) < 0.05, name


def test_peepholes_are_drawn_where_the_graph_has_them() -> None:
    graph = Graph((Lstm("lstm", 6, 8, False, peephole=True), Output("output", 8, 3)))
    model = _small_model(graph, 6)
    windows = random_vectors(20, 6)
    vectorized = ReferenceExecutor(model).run(windows)
    assert np.array_equal(vectorized, ReferenceExecutor(model, method="definitional").run(windows))


def test_a_convolution_is_refused() -> None:
    graph = Graph((Conv2d("conv1", 1, 1, (1, 1), (1, 1), (0, 0)), Output("output", 6, 3)))
    with pytest.raises(UnsupportedLayerError, match="'conv1'.*no Conv2d"):
        _small_model(graph, 6)


def _small_model(graph: Graph, inputs: int) -> IntegerModel:
    return random_integer_model(
        graph,
        random_vectors(20, inputs),
        features={},
        input_quantization=InputQuantization(np.zeros(1), np.ones(1), 1.0, 128),
        labels=("a", "b"),
        density=0.5,
    )


def _activations(
    model: IntegerModel, windows: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> list[tuple[str, np.ndarray[tuple[int, ...], np.dtype[np.integer]]]]:
    """Output of each layer but the last."""
    found = []
    x = windows
    for name, run_layer in ReferenceExecutor(model)._layers[:-1]:
        x = run_layer(x)
        found.append((name, x))
    return found
