"""Random models of every kind survive the file, and the file has one spelling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from sparsespeech.model_file.container import parse
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.sparse_encoding import decode_gaps, encode_gaps
from sparsespeech.model_file.tensors import model_tensors
from sparsespeech.model_file.writer import encode_model
from tests.random_models import random_integer_model, sparse_from_dense
from tests.same_values import assert_same

ONE_DIRECTION = {"bidirectional": False, "merge": "concatenate"}
TWO_DIRECTIONS = {"bidirectional": True}


@st.composite
def models(draw: st.DrawFn) -> IntegerModel:
    kind: dict[str, Any] = {
        "hidden": draw(st.integers(1, 12)),
        "sparsity": draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        "projection": draw(st.none() | st.integers(1, 6)),
        "peephole": draw(st.booleans()),
        "per_row": draw(st.booleans()),
        "wide": draw(st.booleans()),
        "convolution": draw(st.booleans()),
        "bidirectional": draw(st.booleans()),
        "merge": draw(st.sampled_from(["concatenate", "sum"])),
        "coefficients": draw(st.integers(1, 8)),
        "context": draw(st.integers(1, 3)),
        "labels": draw(st.integers(1, 38)),
    }
    return random_integer_model(np.random.default_rng(draw(st.integers(0, 2**32))), **kind)


@given(models())
@settings(max_examples=60)
def test_a_model_survives_the_file(model: IntegerModel) -> None:
    content = encode_model(model)
    read = decode_model(content)
    assert_same(model, read, "model")
    assert encode_model(read) == content


@pytest.mark.slow
@given(models())
@settings(max_examples=1000)
def test_many_models_survive_the_file(model: IntegerModel) -> None:
    content = encode_model(model)
    read = decode_model(content)
    assert_same(model, read, "model")
    assert encode_model(read) == content


@given(models())
@settings(max_examples=20)
def test_the_safetensors_library_reads_the_same_tensors(model: IntegerModel) -> None:
    content = encode_model(model)
    theirs = safetensors.numpy.load(content)
    ours = parse(content).tensors
    assert theirs.keys() == ours.keys() == model_tensors(model).keys()
    for name, tensor in ours.items():
        assert_same(tensor, _read_only(theirs[name]), name)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array


def gaps_by_the_book(dense: NDArray[Any]) -> tuple[list[int], list[int], list[int]]:
    """The example's words of format.md, one column at a time."""
    counts, gaps, values = [], [], []
    for row in dense.tolist():
        counts.append(0)
        skipped = 0
        for weight in row:
            if weight == 0:
                skipped += 1
                continue
            gaps += [255] * (skipped // 255) + [skipped % 255]
            values.append(weight)
            counts[-1] += 1
            skipped = 0
    return counts, gaps, values


@given(
    st.data(),
    st.integers(1, 6),
    st.sampled_from([1, 2, 40, 254, 255, 256, 257, 509, 510, 511, 512, 766, 1100]),
)
@settings(max_examples=200)
def test_gap8_is_what_format_md_says(data: st.DataObject, rows: int, columns: int) -> None:
    dense = data.draw(
        arrays.arrays(np.int8, (rows, columns), elements=st.integers(-128, 127), fill=st.just(0))
    )
    matrix = sparse_from_dense(dense)
    counts, gaps = encode_gaps(matrix)
    assert (counts.tolist(), gaps.tolist(), matrix.value.tolist()) == gaps_by_the_book(dense)
    row_start, column = decode_gaps("m", columns, counts, gaps, matrix.nonzeros)
    assert row_start.tolist() == matrix.row_start.tolist()
    assert column.tolist() == matrix.column.tolist()
