from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.model_file.ladder import byte_ladder, entropy_bits
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.statistics import layer_matrices, model_statistics
from sparsespeech.model_file.writer import write_model
from tests.random_models import random_integer_model

RUNGS = ["dense_float32", "sparse_float32", "sparse_int8", "codebook", "huffman", "entropy_bound"]


def few_valued(model: IntegerModel, values: int) -> IntegerModel:
    """The model with its output layer's weights rounded to multiples: few values, same places."""
    layer = model.layers[-1]
    value = np.sign(layer.weights.value) * (1 + np.abs(layer.weights.value) % values)
    value[layer.weights.value == 0] = 1
    weights = replace(layer.weights, value=value.astype(np.int8))
    return replace(model, layers=(*model.layers[:-1], replace(layer, weights=weights)))


@pytest.fixture(scope="module")
def model() -> IntegerModel:
    return random_integer_model(np.random.default_rng(5), hidden=48, sparsity=0.9)


def test_rungs_are_in_order_and_the_files_are_real(model: IntegerModel, tmp_path: Path) -> None:
    ladder = byte_ladder(model)
    assert [rung.name for rung in ladder.rungs] == RUNGS
    sizes = {rung.name: rung.bytes for rung in ladder.rungs}
    write_model(model, tmp_path / "normal.safetensors")
    write_model(replace(model, encoding="huffman"), tmp_path / "coded.safetensors")
    assert sizes["sparse_int8"] == (tmp_path / "normal.safetensors").stat().st_size
    assert sizes["huffman"] == (tmp_path / "coded.safetensors").stat().st_size
    statistics = model_statistics(model)
    assert sizes["dense_float32"] == statistics.bytes_dense_float32
    assert sizes["sparse_float32"] - sizes["sparse_int8"] == 3 * statistics.nonzeros
    assert sizes["entropy_bound"] < sizes["huffman"]
    for rung in ladder.rungs:
        assert rung.ratio == pytest.approx(sizes["dense_float32"] / rung.bytes)
        assert rung.bits_per_nonzero == pytest.approx(8 * rung.bytes / statistics.nonzeros)


def test_the_ladder_is_the_same_however_the_model_is_stored(model: IntegerModel) -> None:
    normal, coded = byte_ladder(model), byte_ladder(replace(model, encoding="huffman"))
    assert (normal.stored_as, coded.stored_as) == ("sparse_int8", "huffman")
    assert normal.rungs == coded.rungs
    assert normal.matrices == coded.matrices
    assert [rung["stored"] for rung in coded.to_json()] == [name == "huffman" for name in RUNGS]


def test_matrices_by_counting(model: IntegerModel) -> None:
    model = few_valued(model, 5)
    ladder = byte_ladder(model)
    matrices = dict(pair for layer in model.layers for pair in layer_matrices(layer))
    assert [matrix.name for matrix in ladder.matrices] == list(matrices)
    last = ladder.matrices[-1]
    stored = matrices[last.name]
    values = stored.value.tolist()
    assert (last.values, last.nonzeros) == (len(set(values)), len(values))
    assert last.values <= 10
    sizes = {rung.name: rung.bytes for rung in last.rungs}
    rows, columns = stored.shape
    places = sizes["sparse_int8"] - len(values)
    assert places == 2 * rows + len(values)  # no gap of 48 columns needs an escape
    assert sizes["dense_float32"] == 4 * rows * columns
    code_bits = math.ceil(math.log2(last.values))
    assert sizes["codebook"] == places + last.values + math.ceil(code_bits * len(values) / 8)
    flat = np.flatnonzero(dense_of(stored)).tolist()
    gaps = [place - before - 1 for before, place in zip([-1, *flat], flat, strict=False)]
    least = plain_entropy(gaps) + plain_entropy(values)
    assert sizes["entropy_bound"] == last.values + math.ceil(least / 8)
    # A Huffman code takes less than a bit a symbol more, tables and block sizes besides.
    tables = 256 + 2 * last.values + 2 * 2 * math.ceil(len(values) / 1024) + 2
    assert sizes["huffman"] <= math.ceil((least + 2 * len(values)) / 8) + tables


def dense_of(matrix: Any) -> Any:
    dense = np.zeros(matrix.shape, np.int64)
    for row in range(matrix.shape[0]):
        span = slice(int(matrix.row_start[row]), int(matrix.row_start[row + 1]))
        dense[row, matrix.column[span]] = matrix.value[span]
    return dense


def plain_entropy(symbols: list[int]) -> float:
    counts = Counter(symbols)
    return -sum(n * math.log2(n / len(symbols)) for n in counts.values())


def test_entropy_of_known_distributions() -> None:
    assert entropy_bits(np.array([1, 1, 1])) == 0.0
    assert entropy_bits(np.array([0, 1] * 50)) == pytest.approx(100.0)
    assert entropy_bits(np.array([], dtype=np.int64)) == 0.0


@pytest.mark.parametrize(
    "kind", [{"wide": True}, {"projection": 5, "peephole": True}, {"convolution": True}]
)
def test_every_kind_of_model_has_a_ladder(kind: dict[str, Any]) -> None:
    model = random_integer_model(np.random.default_rng(1), hidden=6, **kind)
    ladder = byte_ladder(model)
    assert ladder.rungs[2].name == ("sparse_int16" if "wide" in kind else "sparse_int8")
    assert len(ladder.matrices) == sum(1 for layer in model.layers for _ in layer_matrices(layer))


def test_a_model_without_nonzeros_has_no_bits_a_nonzero() -> None:
    model = random_integer_model(np.random.default_rng(1), hidden=4, sparsity=1.0)
    assert {rung.bits_per_nonzero for rung in byte_ladder(model).rungs} == {0.0}
