from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import huffman
from sparsespeech.model_file.codebook_encoding import CodedMatrix, decode_matrix, encode_matrix
from sparsespeech.model_file.model import SparseMatrix
from tests.random_models import random_sparse_matrix, sparse_from_dense


def assert_same(one: SparseMatrix, other: SparseMatrix) -> None:
    assert one.shape == other.shape
    for name in ("row_start", "column", "value"):
        first, second = getattr(one, name), getattr(other, name)
        assert first.dtype == second.dtype
        assert first.tolist() == second.tolist()


def test_example_of_format_md() -> None:
    gaps, codebook, codes = encode_matrix(sparse_from_dense(np.array([[0, 0, 5, -3, 0]])))
    assert (gaps.lengths.tolist(), gaps.blocks.tolist()) == ([1, 0, 1], [2])
    assert (codes.lengths.tolist(), codes.blocks.tolist()) == ([1, 1], [2])
    assert (codebook.tolist(), gaps.bits.tolist(), codes.bits.tolist()) == ([-3, 5], [128], [128])


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.97, 0.9999, 1.0])
@pytest.mark.parametrize("wide", [False, True])
def test_matrices_come_back(sparsity: float, wide: bool) -> None:
    matrix = random_sparse_matrix(np.random.default_rng(2), (60, 700), sparsity, wide=wide)
    assert_same(matrix, decode_matrix("m", matrix.shape, encode_matrix(matrix)))


def test_gaps_run_on_from_row_to_row() -> None:
    dense = np.zeros((4, 200), dtype=np.int64)
    dense[0, 0], dense[3, 199] = 1, 2  # 798 places between them: three escapes and 33
    gaps = encode_matrix(sparse_from_dense(dense)).gaps
    assert huffman.decode("g", gaps).tolist() == [0, 255, 255, 255, 33]


def test_no_rows_with_weights_store_nothing() -> None:
    coded = encode_matrix(sparse_from_dense(np.zeros((3, 4), dtype=np.int64)))
    assert [part.size for part in (*coded.gaps, coded.codebook, *coded.codes)] == [0] * 7


def coded_from(gaps: list[int], values: list[int]) -> CodedMatrix:
    """Any gap bytes and values, coded as they are."""
    codebook, codes = np.unique(np.array(values, dtype=np.int8), return_inverse=True)
    stream = huffman.encode(np.array(gaps), max(gaps) + 1)
    return CodedMatrix(stream, codebook, huffman.encode(codes, codebook.size))


@pytest.mark.parametrize(
    ("coded", "error"),
    [
        (coded_from([0, 2, 1], [5, 6]), r"'m.code_bits': holds 2 codes.*lands on 3.*F26"),
        (coded_from([0, 3], [5, 6, 7]), r"holds 3 codes, .* lands on 2.*F26"),
        (coded_from([0, 255], [5]), r"'m.gap_bits': gaps follow the last nonzero.*F26"),
        (coded_from([6], [5]), r"'m.gap_bits': reaches place 6 of 6 in 2 rows of 3.*F26"),
        (coded_from([255] * 5000 + [0], [5]), r"reaches place 1275000 of 6.*F26"),
    ],
)
def test_wrong_places_have_their_error(coded: CodedMatrix, error: str) -> None:
    with pytest.raises(ModelFileError, match=error):
        decode_matrix("m", (2, 3), coded)


def test_wrong_tables_have_their_error() -> None:
    coded = coded_from([0, 3], [5, 6])
    longer = np.append(coded.gaps.lengths, np.uint8(0))
    for gaps in (longer, np.full(257, 1, np.uint8)):
        with pytest.raises(ModelFileError, match=r"gap_lengths': holds \d+ lengths.*F26"):
            decode_matrix("m", (2, 3), coded._replace(gaps=coded.gaps._replace(lengths=gaps)))
    for codebook in ([6, 5], [5, 5]):
        wrong = coded._replace(codebook=np.array(codebook, np.int8))
        with pytest.raises(ModelFileError, match=r"'m.codebook': must rise strictly.*F26"):
            decode_matrix("m", (2, 3), wrong)
    for codebook in ([5], [5, 6, 7]):
        wrong = coded._replace(codebook=np.array(codebook, np.int8))
        with pytest.raises(ModelFileError, match=r"code_lengths': must hold a code for each.*F26"):
            decode_matrix("m", (2, 3), wrong)


def test_value_that_no_weight_has_is_refused() -> None:
    coded = coded_from([0, 3], [5, 6])
    lengths = np.append(coded.codes.lengths, np.uint8(0))
    wrong = coded._replace(
        codebook=np.array([5, 6, 7], np.int8), codes=coded.codes._replace(lengths=lengths)
    )
    with pytest.raises(ModelFileError, match=r"must hold a code for each of the 3 values.*F26"):
        decode_matrix("m", (2, 3), wrong)


def test_memory_is_a_fixed_multiple_of_the_streams() -> None:
    rows, columns = 1024, 2048
    dense = coded_from([0], [7])
    ones = huffman.encode(np.zeros(rows * columns, np.int64), 1)  # a bit a nonzero, twice
    coded = dense._replace(gaps=ones, codes=ones)
    tracemalloc.start()
    try:
        matrix = decode_matrix("m", (rows, columns), coded)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert matrix.nonzeros == rows * columns
    assert peak <= 200 * (2 * ones.bits.size) + 2**21
