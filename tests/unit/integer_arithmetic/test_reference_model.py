"""The reference executor on whole models: both methods, times, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.graph import Conv2d, Graph, Lstm
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vector_cases.storage import placeholder_model

METHODS = pytest.mark.parametrize("method", ["vectorized", "definitional"])


def small_model():
    build = LayerBuilder(SeededIntegers("model"), density=0.5)
    pairs = [
        build.linear("layer1", 12, 8, 40),
        build.lstm(Lstm("layer2", 8, 6), 0),
        build.output(12, 5, 128),
    ]
    graph = Graph(tuple(entry for entry, _ in pairs))
    return placeholder_model(graph, tuple(layer for _, layer in pairs), 8)


def windows(frames):
    return np.random.default_rng(frames).integers(0, 256, (frames, 12)).astype(np.uint8)


@pytest.mark.parametrize("frames", [0, 1, 2, 30])
def test_both_methods_give_the_same_logits(frames):
    model = small_model()
    x = windows(frames)
    fast = ReferenceExecutor(model).run(x)
    plain = ReferenceExecutor(model, method="definitional").run(x)
    np.testing.assert_array_equal(fast, plain)
    assert fast.dtype == plain.dtype == np.int64 and fast.shape == (frames, 5)


@METHODS
def test_times_name_every_layer_in_order(method):
    executor = ReferenceExecutor(small_model(), method=method)
    logits, times = executor.run_timed(windows(3))
    assert [name for name, _ in times] == ["layer1", "layer2", "output"]
    assert all(seconds >= 0 for _, seconds in times)
    np.testing.assert_array_equal(logits, executor.run(windows(3)))


@METHODS
@pytest.mark.parametrize(
    "bad", [np.zeros((3, 12)), np.zeros((3, 12), np.int16), np.zeros(12, np.uint8)]
)
def test_windows_of_another_type_or_shape_are_refused(method, bad):
    with pytest.raises(ValueError, match=r"feature windows must be uint8\[T, C\]"):
        ReferenceExecutor(small_model(), method=method).run(bad)


@METHODS
def test_a_graph_that_does_not_fit_its_layers_is_refused(method):
    build = LayerBuilder(SeededIntegers("mismatch"))
    geometry = Conv2d("layer1", 1, 2, (3, 3), (1, 1), (0, 0))
    _, layer = build.convolution(geometry, 0)
    graph = Graph((Lstm("layer1", 3, 4),))
    model = replace(placeholder_model(graph, (layer,), 8), graph=graph)
    with pytest.raises(UnsupportedLayerError, match="'layer1' is a ConvolutionLayer"):
        ReferenceExecutor(model, method=method)


@METHODS
def test_wide_models_take_int16_windows(method):
    build = LayerBuilder(SeededIntegers("wide"), wide=True)
    entry, layer = build.output(4, 3, 0)
    model = placeholder_model(Graph((entry,)), (layer,), 16)
    x = np.array([[-32768, 32767, 0, 5]], dtype=np.int16)
    assert ReferenceExecutor(model, method=method).run(x).shape == (1, 3)
    with pytest.raises(ValueError, match="must be int16"):
        ReferenceExecutor(model, method=method).run(x.astype(np.uint8))
