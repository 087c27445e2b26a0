from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsespeech.graph import Graph
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.statistics import layer_matrices
from sparsespeech.model_file.writer import encode_model
from sparsespeech.quantization.codebook_model import share_weights
from tests.random_models import random_integer_model

KINDS: list[dict[str, Any]] = [
    {},
    {"per_row": True},
    {"projection": 5, "peephole": True},
    {"convolution": True, "bidirectional": False},
    {"wide": True},
    {"merge": "sum"},
]


def matrices(model: IntegerModel) -> dict[str, Any]:
    return dict(pair for layer in model.layers for pair in layer_matrices(layer))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [2, 16])
def test_few_values_in_the_same_places(kind: dict[str, Any], size: int) -> None:
    model = random_integer_model(np.random.default_rng(8), hidden=12, sparsity=0.5, **kind)
    shared = share_weights(model, size)
    before, after = matrices(model), matrices(shared.model)
    assert [facts.name for facts in shared.matrices] == list(before)
    for facts in shared.matrices:
        old, new = before[facts.name], after[facts.name]
        assert np.array_equal(old.column, new.column)
        assert np.array_equal(old.row_start, new.row_start)
        assert np.unique(new.value).size == facts.values <= size
        assert facts.values_before == np.unique(old.value).size
        change = ((old.value.astype(float) - new.value) ** 2).sum()
        power = (old.value.astype(float) ** 2).sum()
        assert facts.sqnr_db == pytest.approx(10 * np.log10(power / change))
    decode_model(encode_model(shared.model))  # every rule of the file holds


@pytest.mark.parametrize("kind", KINDS)
def test_biases_follow_the_weights(kind: dict[str, Any]) -> None:
    """Inputs at their zero point are real zeros: accumulators may not change."""
    model = random_integer_model(np.random.default_rng(9), hidden=12, sparsity=0.5, **kind)
    shared = share_weights(model, 4).model
    fed = {"input": model.input.zero_point, "lstm": 0 if "wide" in kind else 128}
    for old, new in zip(model.layers, shared.layers, strict=True):
        if hasattr(old, "weights"):
            pairs = [(old.weights, old.bias, new.weights, new.bias, fed["input"])]
            fed["input"] = getattr(old, "output_zero_point", 0)
        else:
            pairs = []
            for word in ("forward", "backward"):
                one, other = getattr(old, word), getattr(new, word)
                if one is None:
                    continue
                recurrent = one.projection.output_zero_point if one.projection else fed["lstm"]
                pairs += [
                    (one.input_weights, one.input_bias, other.input_weights, other.input_bias,
                     fed["input"]),
                    (one.recurrent_weights, one.recurrent_bias, other.recurrent_weights,
                     other.recurrent_bias, recurrent),
                ]  # fmt: skip
                if one.projection:
                    pairs.append(
                        (one.projection.weights, one.projection.bias, other.projection.weights,
                         other.projection.bias, fed["lstm"])
                    )  # fmt: skip
            fed["input"] = recurrent
        for weights, bias, new_weights, new_bias, zero_point in pairs:
            for row in range(weights.shape[0]):
                span = slice(int(weights.row_start[row]), int(weights.row_start[row + 1]))
                one = int(bias[row]) + zero_point * int(weights.value[span].astype(int).sum())
                other = int(new_bias[row])
                other += zero_point * int(new_weights.value[span].astype(int).sum())
                assert one == other


def test_as_many_values_as_there_are_change_nothing() -> None:
    model = random_integer_model(np.random.default_rng(10), hidden=6)
    shared = share_weights(model, 256)
    assert {facts.sqnr_db for facts in shared.matrices} == {None}
    for name, matrix in matrices(model).items():
        assert np.array_equal(matrix.value, matrices(shared.model)[name].value)
    facts = {"values": 256, "initialisation": "optimal", "of": "stored integers"}
    assert shared.model.quantization == {"codebook": facts}


def test_small_weights_do_not_vanish() -> None:
    # An output layer alone: its bias obeys no rule that depends on the weights.
    model = random_integer_model(
        np.random.default_rng(11), hidden=26, coefficients=26, context=0, labels=9
    )
    layer = model.layers[-1]
    value = np.where(np.arange(layer.weights.nonzeros) % 3, 1, -1).astype(np.int8)
    value[0] = 90
    model = replace(
        model,
        graph=Graph(model.graph.layers[-1:]),
        layers=(replace(layer, weights=replace(layer.weights, value=value)),),
    )
    shared = matrices(share_weights(model, 2).model)["layer5.weights"]
    assert shared.value[0] == 90
    assert set(shared.value[1:].tolist()) == {1}  # their mean, 1/3, would be rounded to 0


def test_more_values_are_nearer_to_the_model() -> None:
    model = random_integer_model(np.random.default_rng(12), hidden=24, sparsity=0.7)
    windows = np.random.default_rng(0).integers(0, 256, (12, 494)).astype(np.uint8)
    logits = ReferenceExecutor(model).run(windows)
    errors = [
        float(
            ((ReferenceExecutor(share_weights(model, size).model).run(windows) - logits) ** 2).sum()
        )
        for size in (2, 8, 64)
    ]
    assert errors[0] > errors[1] > errors[2] > 0
