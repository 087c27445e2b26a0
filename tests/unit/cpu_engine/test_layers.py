from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine.layers import count_nonzeros, describe_layers, input_width
from sparsespeech.errors import UnsupportedLayerError
from sparsespeech.graph import Graph, Linear, Output
from sparsespeech.model_file.statistics import model_statistics
from tests.random_models import random_integer_model


def model(**settings: Any) -> Any:
    return random_integer_model(np.random.default_rng(1), hidden=8, **settings)


def test_kinds_and_names() -> None:
    layers = describe_layers(model())
    kinds = ["linear", "linear", "lstm", "linear", "output"]
    assert [layer["kind"] for layer in layers] == kinds
    assert [layer["name"] for layer in layers] == [f"layer{n}" for n in range(1, 6)]
    assert [len(layer["directions"]) for layer in layers if layer["kind"] == "lstm"] == [2]


def test_optional_parts() -> None:
    plain = describe_layers(model(bidirectional=False))[2]["directions"]
    assert len(plain) == 1
    assert not {"peephole", "projection"} & set(plain[0])
    full = describe_layers(model(peephole=True, projection=5))[2]["directions"][1]
    assert full["peephole"]["weights"].shape == (3, 8)
    assert full["projection"]["weights"]["rows"] == 5


def test_counts() -> None:
    random = model(projection=5)
    layers = describe_layers(random)
    assert input_width(layers) == 494
    assert count_nonzeros(layers) == model_statistics(random).nonzeros


def test_first_layer_may_be_an_lstm() -> None:
    assert input_width(describe_layers(model())[2:]) == 8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"wide": True}, "16-bit activations .rule R10.* --backend reference"),
        ({"convolution": True}, "'conv1' is a ConvolutionLayer .rule R11.* --backend reference"),
        ({"merge": "sum"}, "'layer3' merges its directions by 'sum' .rule R11"),
    ],
)
def test_layers_that_the_engine_lacks(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedLayerError, match=message):
        describe_layers(model(**settings))


def test_arrays_in_another_order_are_copied() -> None:
    random = model(peephole=True)
    peephole = random.layers[2].forward.peephole
    turned = np.asfortranarray(peephole.weights)
    object.__setattr__(peephole, "weights", turned)
    given = describe_layers(random)[2]["directions"][0]["peephole"]["weights"]
    assert given.flags.c_contiguous
    assert np.array_equal(given, turned)


def test_graph_without_lstm_is_described_too() -> None:
    graph = Graph((Linear("a", 494, 4), Output("b", 4, 29)))
    random = model()
    object.__setattr__(random, "graph", graph)
    object.__setattr__(random, "layers", (random.layers[0], random.layers[-1]))
    assert [layer["kind"] for layer in describe_layers(random)] == ["linear", "output"]
