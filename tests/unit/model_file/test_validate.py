from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import weight_rules
from sparsespeech.model_file.model import IntegerModel, Requantizer, SparseMatrix
from sparsespeech.model_file.validate import validate_model
from sparsespeech.model_file.weight_rules import (
    prove_accumulator,
    prove_matrix,
    prove_requantizer,
)
from tests.random_models import random_integer_model, row_sums, sparse_from_dense


def model(**kind: Any) -> IntegerModel:
    return random_integer_model(np.random.default_rng(0), hidden=4, **kind)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_accumulator_bound_is_exact(wide: bool, sign: int) -> None:
    dense = np.zeros((3, 4), dtype=np.int64)
    dense[1] = [3, -5, 0, 2]
    matrix = sparse_from_dense(dense, wide=wide)
    limit = (2**47 if wide else 2**31) - 10 * (32768 if wide else 255)
    bias = np.zeros(3, dtype=np.int64)
    bias[1] = sign * (limit - 1)
    prove_accumulator("w", matrix, "b", bias, wide=wide)
    bias[1] = sign * limit
    with pytest.raises(ModelFileError, match=r"'w': entry 1: .*F16"):
        prove_accumulator("w", matrix, "b", bias, wide=wide)


def test_accumulator_bound_holds_for_the_worst_input() -> None:
    rng = np.random.default_rng(4)
    dense = rng.integers(-128, 128, (20, 30))
    bias = rng.integers(-1000, 1000, 20)
    bound = prove_accumulator("w", sparse_from_dense(dense), "b", bias, wide=False)
    largest = np.where(dense > 0, dense, 0).sum(axis=1) * 255 + bias
    smallest = np.where(dense < 0, dense, 0).sum(axis=1) * 255 + bias
    assert (np.maximum(abs(largest), abs(smallest)) <= bound).all()


def test_accumulators_are_proved_alike_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = model().layers[1].weights
    bias = np.arange(4)
    whole = prove_accumulator("w", matrix, "b", bias, wide=False)
    monkeypatch.setattr(
        weight_rules, "row_blocks", lambda starts: [(r, r + 1) for r in range(starts.size - 1)]
    )
    assert (prove_accumulator("w", matrix, "b", bias, wide=False) == whole).all()


def test_rescaled_bound_is_exact() -> None:
    def prove(bound: int) -> None:
        requantizer = Requantizer(np.array([2**15]), np.array([1]))  # R4' = 2^14 * acc
        prove_requantizer("r", requantizer, np.array([0, bound]))

    prove(2**16 - 1)
    with pytest.raises(ModelFileError, match=r"'r': entry 1: 1073741824 .*F18"):
        prove(2**16)


def test_rescaled_bound_does_not_wrap_in_wide_mode() -> None:
    requantizer = Requantizer(np.array([2**16 - 1]), np.array([32]))
    bound = np.array([2**47 - 1])
    assert ((2**47 - 1) * (2**16 - 1) + 2**31) >> 32 >= 2**30
    with pytest.raises(ModelFileError, match="F18"):
        prove_requantizer("r", requantizer, bound)
    prove_requantizer("r", Requantizer(np.array([2**16 - 1]), np.array([33])), bound)


def test_row_sums_of_rows_without_weights() -> None:
    dense = np.array([[0, 0], [1, 2], [0, 0], [-128, 0], [0, 0]])
    matrix = sparse_from_dense(dense)
    assert weight_rules.row_sums(matrix).tolist() == [0, 3, 0, -128, 0]
    assert row_sums(matrix).tolist() == [0, 3, 0, -128, 0]


def matrix_of(starts: list[int], columns: list[int], values: list[int]) -> SparseMatrix:
    return SparseMatrix(
        (len(starts) - 1, 4),
        np.array(starts, dtype=np.int64),
        np.array(columns, dtype=np.int32),
        np.array(values, dtype=np.int8),
    )


@pytest.mark.parametrize(
    ("matrix", "error"),
    [
        (matrix_of([0, 1, 2], [0, 0], [1, 1]), None),
        (matrix_of([0, 0, 2], [1, 3], [1, 1]), None),
        (matrix_of([0, 2, 2], [1, 1], [1, 1]), "row 0 do not rise"),
        (matrix_of([0, 1, 3], [0, 3, 2], [1, 1, 1]), "row 1 do not rise"),
        (matrix_of([0, 0, 0, 2, 2], [2, 0], [1, 1]), "row 2 do not rise"),
        (matrix_of([0, 1, 2], [0, 4], [1, 1]), "reach from 0 to 4, the matrix has 4"),
        (matrix_of([0, 1, 2], [-1, 0], [1, 1]), "reach from -1"),
        (matrix_of([0, 1, 2], [0, 0], [1, 0]), "row 1 stores a weight 0"),
        (matrix_of([0, 1, 3], [0, 0], [1, 1]), "row_start must rise from 0 to 2"),
        (matrix_of([1, 1, 2], [0, 0], [1, 1]), "row_start must rise"),
        (matrix_of([0, 3, 2], [0, 1], [1, 1]), "row_start must rise"),
        (matrix_of([0, 1, 2], [0], [1, 1]), r"column is int32\[1\], expected int32\[2\]"),
    ],
)
def test_matrix_rules(matrix: SparseMatrix, error: str | None) -> None:
    if error is None:
        prove_matrix("m", matrix, matrix.shape, wide=False)
        return
    with pytest.raises(ModelFileError, match=rf"tensor 'm': .*{error}.*F15"):
        prove_matrix("m", matrix, matrix.shape, wide=False)


def test_matrix_of_another_shape_or_width_is_refused() -> None:
    matrix = matrix_of([0, 1, 2], [0, 0], [1, 1])
    for shape, wide in (((2, 5), False), ((2, 4), True)):
        with pytest.raises(ModelFileError, match="F15"):
            prove_matrix("m", matrix, shape, wide=wide)


def change_layer(number: int, **changes: Any) -> Callable[[IntegerModel], IntegerModel]:
    def apply(whole: IntegerModel) -> IntegerModel:
        layers = list(whole.layers)
        layers[number] = replace(layers[number], **changes)
        return replace(whole, layers=tuple(layers))

    return apply


def change_forward(**changes: Any) -> Callable[[IntegerModel], IntegerModel]:
    def apply(whole: IntegerModel) -> IntegerModel:
        return change_layer(2, forward=replace(whole.layers[2].forward, **changes))(whole)

    return apply


def other_projection(whole: IntegerModel) -> IntegerModel:
    projection = whole.layers[2].backward.projection
    moved = replace(projection, output_zero_point=(projection.output_zero_point + 1) % 256)
    return change_layer(2, backward=replace(whole.layers[2].backward, projection=moved))(whole)


FULL = {"projection": 3, "peephole": True}
WRONG_MODELS: dict[str, tuple[dict[str, Any], Callable[[IntegerModel], IntegerModel], str]] = {
    "layer missing": ({}, lambda m: replace(m, layers=m.layers[1:]), "describes 5 layers.*F8"),
    "layer renamed": ({}, change_layer(0, name="other"), "'layer1': the model holds.*F8"),
    "layers exchanged": (
        {},
        lambda m: replace(m, layers=(*m.layers[3:4], *m.layers[1:])),
        "'layer1'.*F8",
    ),
    "layer of another kind": (
        {},
        lambda m: replace(m, layers=(m.layers[2], *m.layers[1:])),
        "the LstmLayer.*F8",
    ),
    "backward missing": ({}, change_layer(2, backward=None), "directions or merge.*F8"),
    "merge differs": ({}, change_layer(2, merge="sum"), "directions or merge.*F8"),
    "peephole missing": (FULL, change_forward(peephole=None), "peephole differs.*F8"),
    "projection missing": (FULL, change_forward(projection=None), "F20"),
    "projections differ": (FULL, other_projection, "F20|F19"),
    "12-bit activations": ({}, lambda m: replace(m, activation_bits=12), "8 or 16, got 12.*F11"),
    "no tables": ({}, lambda m: replace(m, tables={}), "tables.*F21"),
    "int32 tables": (
        {},
        lambda m: replace(m, tables={k: t.astype(np.int32) for k, t in m.tables.items()}),
        "is int32.*F21",
    ),
    "int32 bias": ({}, change_layer(0, bias=np.zeros(4, np.int32)), "'layer1.bias': is int32.*F16"),
    "float32 mean": (
        {},
        lambda m: replace(m, input=replace(m.input, mean=np.zeros(26, np.float32))),
        "input.mean': is float32.*F22",
    ),
    "float64 logit scale": ({}, change_layer(4, scale=np.ones(1)), "logit_scale': is float64.*F23"),
    "three logit scales": (
        {},
        change_layer(4, scale=np.ones(3, np.float32)),
        r"is float32\[3\].*F23",
    ),
    "two multipliers": (
        {},
        change_layer(0, requantize=Requantizer(np.full(2, 40000), np.full(2, 20))),
        r"multiplier int64\[2\].*F17",
    ),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_wrong_model_in_memory_is_refused(name: str) -> None:
    kind, change, error = WRONG_MODELS[name]
    whole = model(**kind)
    validate_model(whole)
    with pytest.raises(ModelFileError, match=error):
        validate_model(change(whole))
