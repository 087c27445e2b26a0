from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.compiler.matrices import matrix_of, row_constants
from sparsespeech.errors import CompileError
from tests.random_models import random_integer_model

MODEL = random_integer_model(np.random.default_rng(1), hidden=6, per_row=True)
SHARED = random_integer_model(np.random.default_rng(1), hidden=6)
ONE_WAY = random_integer_model(np.random.default_rng(1), hidden=6, bidirectional=False)


def test_names_are_those_of_the_model_file() -> None:
    assert matrix_of(MODEL, "layer2.weights") is MODEL.layers[1].weights
    for direction in ("forward", "backward"):
        part = getattr(MODEL.layers[2], direction)
        assert matrix_of(MODEL, f"layer3.{direction}.input_weights") is part.input_weights
        assert matrix_of(MODEL, f"layer3.{direction}.recurrent_weights") is part.recurrent_weights


def test_constants_of_a_linear_layer() -> None:
    layer = MODEL.layers[0]
    constants = row_constants(MODEL, "layer1.weights")
    assert np.array_equal(constants.bias, layer.bias)
    assert np.array_equal(constants.multiplier, layer.requantize.multiplier)
    assert np.array_equal(constants.shift, layer.requantize.shift)
    assert (constants.zero_point, constants.low, constants.high) == (
        layer.output_zero_point,
        layer.low,
        layer.high,
    )


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("kind", ["input", "recurrent"])
def test_constants_of_an_lstm(direction: str, kind: str) -> None:
    part = getattr(MODEL.layers[2], direction)
    constants = row_constants(MODEL, f"layer3.{direction}.{kind}_weights")
    assert np.array_equal(constants.bias, getattr(part, f"{kind}_bias"))
    scales = getattr(part, f"{kind}_requantize")
    assert np.array_equal(constants.multiplier, scales.multiplier)
    assert np.array_equal(constants.shift, scales.shift)


def test_one_scale_a_matrix_is_one_a_row() -> None:
    constants = row_constants(SHARED, "layer3.forward.input_weights")
    scales = SHARED.layers[2].forward.input_requantize
    assert constants.multiplier.tolist() == scales.multiplier.tolist() * 24
    assert constants.shift.tolist() == scales.shift.tolist() * 24


@pytest.mark.parametrize(
    "name", ["layer9.weights", "layer3.weights", "layer5.weights", "layer3.backward.input_weights"]
)
def test_a_name_that_the_model_lacks_is_an_error(name: str) -> None:
    with pytest.raises(CompileError, match=f"no matrix '{name}'.*layer3.forward.input_weights"):
        matrix_of(ONE_WAY, name)
    with pytest.raises(CompileError, match="no matrix"):
        row_constants(ONE_WAY, name)
