"""The parameters of a graph, known without torch, are those that torch has."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.errors import CheckpointError
from sparsespeech.graph import Conv2d, Graph, deepspeech, lstmp
from sparsespeech.training.parameter_shapes import check_groups, check_shapes, parameter_shapes
from tests.random_checkpoints import random_checkpoint

GRAPHS = {
    "deepspeech": deepspeech(7, inputs=15, labels=4),
    "unidirectional": deepspeech(7, inputs=15, labels=4, bidirectional=False),
    "lstmp": lstmp(6, inputs=15, labels=4, peephole=True),
    "lstmp both ways": lstmp(6, inputs=15, labels=4, projection=5, bidirectional=True),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_names_and_shapes_are_those_of_torch(name: str) -> None:
    with torch.device("meta"):
        model = DeepSpeech(GRAPHS[name], context=1, coefficients=5)
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    found = parameter_shapes(GRAPHS[name])
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.parametrize(
    "lstm", [{"projection": 3, "merge": "sum"}, {"peephole": True}, {"projection": 3}]
)
def test_an_lstm_in_the_middle(lstm: dict[str, Any]) -> None:
    checkpoint = random_checkpoint(lstm=lstm)
    expected = {name: tuple(tensor.shape) for name, tensor in checkpoint.weights.items()}
    assert parameter_shapes(checkpoint.graph) == expected


def test_a_layer_that_training_does_not_know() -> None:
    layer = Conv2d("conv1", 1, 2, (3, 3), (1, 1), (1, 1))
    with pytest.raises(CheckpointError, match="does not know.*conv1"):
        parameter_shapes(Graph((layer,)))


def test_the_first_parameter_that_differs_is_named() -> None:
    expected = {"a.weight": (3, 2), "a.bias": (3,)}
    check_shapes("here", dict(expected), expected)
    for found, message in (
        ({"a.weight": (3, 2)}, r"here: .*a\.bias is absent, expected \[3\]"),
        ({**expected, "b.bias": (1,)}, r"b\.bias is \[1\], expected absent"),
        ({**expected, "a.weight": (2, 3)}, r"a\.weight is \[2, 3\], expected \[3, 2\]"),
    ):
        with pytest.raises(CheckpointError, match=message):
            check_shapes("here", found, expected)


def test_what_the_graph_does_not_shape_is_left_alone() -> None:
    expected = {"a.weight": (3, 2)}
    check_groups("here", {"weights.a.weight": (3, 2), "policy.norms": (9,)}, expected)
    for name in ("weights.a.weight", "masks.a.weight", "average.a.weight", "masks.b.weight"):
        with pytest.raises(CheckpointError, match=f"{name} is .9, 2."):
            check_groups("here", {name: (9, 2)}, expected)
