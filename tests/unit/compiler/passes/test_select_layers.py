from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Linear, Lstm, Output, deepspeech, lstmp
from tests.accelerator_plans import model_of_shapes
from tests.random_models import random_integer_model


def selected(graph: Graph, host_layers: tuple[str, ...] | None = None) -> tuple[str, ...]:
    model = model_of_shapes(graph)
    plan = Plan(model, TARGETS["tiny"], "paper", host_layers=host_layers)
    return select_layers(plan).accelerated


def test_everything_up_to_the_recurrent_layer_is_accelerated() -> None:
    assert selected(deepspeech(16)) == ("layer1", "layer2", "layer3", "layer4")


def test_without_a_recurrent_layer_only_the_output_layer_stays_on_the_host() -> None:
    graph = Graph((Linear("one", 26, 5), Linear("two", 5, 6), Output("output", 6, 4)))
    assert selected(graph) == ("one", "two")


def test_host_layers_can_be_wished() -> None:
    assert selected(deepspeech(16), ("layer6", "layer4", "layer5")) == (
        "layer1",
        "layer2",
        "layer3",
    )


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (("layer9",), "no layer 'layer9'; its layers: layer1, layer2"),
        (("layer5",), "expected the last 1: layer6"),
        (("layer2", "layer6"), "expected the last 2: layer5, layer6"),
        (tuple(f"layer{n}" for n in range(1, 7)), "no layer is left"),
        (("layer6",), "layer 'layer5' comes after the recurrent layer 'layer4'.*layer5,layer6"),
        ((), "comes after the recurrent layer"),
    ],
)
def test_impossible_host_layers_are_named(host: tuple[str, ...], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        selected(deepspeech(16), host)


def test_the_output_layer_never_runs_on_the_accelerator() -> None:
    graph = Graph((Linear("one", 26, 5), Output("output", 5, 4)))
    with pytest.raises(CompileError, match="'output' is the output layer"):
        selected(graph, ())


def test_a_second_recurrent_layer_is_refused() -> None:
    layers = (Lstm("first", 26, 8), Lstm("second", 16, 8), Output("output", 16, 4))
    with pytest.raises(CompileError, match="'second' comes after the recurrent layer 'first'"):
        selected(Graph(layers))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection": 5}, "'layer3' projects its outputs"),
        ({"peephole": True}, "'layer3' has peephole weights"),
        ({"merge": "sum"}, "'layer3' sums its directions"),
        ({"convolution": True}, "'conv1' is a convolution"),
        ({"wide": True}, "16 bit"),
    ],
)
def test_layers_that_no_program_runs_are_named(options: dict, message: str) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=8, **options)
    with pytest.raises(CompileError, match=message):
        select_layers(Plan(model, TARGETS["tiny"], "paper"))


def test_the_projected_network_of_the_ese_deck_is_refused() -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=8)
    plan = Plan(replace(model, graph=lstmp(16)), TARGETS["tiny"], "paper")
    with pytest.raises(CompileError, match="'layer1' projects its outputs"):
        select_layers(plan)
