"""Random symbols, matrices and models survive Huffman coding; no code beats its bounds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.codebook_encoding import decode_matrix, encode_matrix
from sparsespeech.model_file.container import parse
from sparsespeech.model_file.huffman import CodedStream, code_lengths, decode, encode
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.writer import encode_model
from tests.property.test_model_file import models
from tests.random_models import sparse_from_dense
from tests.same_values import assert_same


@given(st.lists(st.integers(0, 40), max_size=3000))
@settings(max_examples=100)
def test_symbols_survive_within_one_bit_of_their_entropy(symbols: list[int]) -> None:
    stream = encode(np.array(symbols, dtype=np.int64), 41)
    assert decode("s", stream).tolist() == symbols
    counts = np.bincount(symbols, minlength=41) if symbols else np.zeros(41)
    used = counts[counts > 0]
    entropy = float((used * np.log2(len(symbols) / used)).sum()) if symbols else 0.0
    total = int(stream.blocks.sum())
    assert entropy - 1e-6 <= total <= entropy + len(symbols)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=300))
@settings(max_examples=100)
def test_lengths_fill_the_code_space_and_longer_means_rarer(counts: list[int]) -> None:
    pairs = list(zip(counts, code_lengths(np.array(counts)), strict=True))
    used = sorted((count, int(length)) for count, length in pairs if count)
    assert all(bool(length) == bool(count) for count, length in pairs)
    if len(used) > 1:
        assert sum(2.0**-length for _, length in used) == 1.0
        for (rare, longer), (often, shorter) in itertools.pairwise(used):
            assert longer >= shorter or rare == often


@given(
    arrays.arrays(
        np.int8,
        st.tuples(st.integers(1, 8), st.sampled_from([1, 3, 254, 255, 256, 511, 900])),
        elements=st.integers(-128, 127),
        fill=st.just(0),
    )
)
@settings(max_examples=80)
def test_matrices_survive(dense: Any) -> None:
    matrix = sparse_from_dense(dense)
    found = decode_matrix("m", matrix.shape, encode_matrix(matrix))
    back = np.zeros_like(dense)
    for row in range(dense.shape[0]):
        span = slice(int(found.row_start[row]), int(found.row_start[row + 1]))
        back[row, found.column[span]] = found.value[span]
    assert np.array_equal(back, dense)
    assert found.nonzeros == np.count_nonzero(dense)


@given(models())
@settings(max_examples=20)
def test_a_coded_file_holds_the_same_model(model: IntegerModel) -> None:
    content = encode_model(replace(model, encoding="huffman"))
    read = decode_model(content)
    assert read.encoding == "huffman"
    assert_same(model, replace(read, encoding="gap8"), "model")
    assert encode_model(read) == content
    assert "layer1.weights.values" not in parse(content).tensors


@given(st.data())
@settings(max_examples=200)
def test_a_damaged_stream_is_refused_or_has_one_spelling(data: st.DataObject) -> None:
    symbols = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=1500))
    stream = encode(np.array(symbols), 10)
    part = data.draw(st.sampled_from(["lengths", "blocks", "bits"]))
    array = getattr(stream, part).copy()
    raw = array.view(np.uint8)
    raw[data.draw(st.integers(0, raw.size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = CodedStream(**{**stream._asdict(), part: array})
    try:
        found = decode("s", damaged)
    except ModelFileError:
        return
    again = encode(found.astype(np.int64), 10)
    for one, other in zip(again, damaged, strict=True):
        assert one.tolist() == other.tolist()
