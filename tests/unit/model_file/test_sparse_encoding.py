from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.model_file import sparse_encoding
from sparsespeech.model_file.sparse_encoding import decode_gaps, encode_gaps, row_blocks
from tests.random_models import random_sparse_matrix, sparse_from_dense


def test_examples_of_format_md() -> None:
    counts, gaps = encode_gaps(sparse_from_dense(np.array([[0, 0, 5, -3, 0]])))
    assert (counts.tolist(), gaps.tolist()) == ([2], [2, 0])
    far = np.zeros((1, 301), dtype=np.int64)
    far[0, 300] = 7
    assert encode_gaps(sparse_from_dense(far))[1].tolist() == [255, 45]


@pytest.mark.parametrize(
    ("skipped", "gaps"),
    [
        (0, [0]),
        (254, [254]),
        (255, [255, 0]),
        (256, [255, 1]),
        (509, [255, 254]),
        (510, [255, 255, 0]),
    ],
)
def test_bytes_around_the_escape(skipped: int, gaps: list[int]) -> None:
    dense = np.zeros((2, 600), dtype=np.int64)
    dense[1, skipped] = -1
    assert encode_gaps(sparse_from_dense(dense))[1].tolist() == gaps


@pytest.mark.parametrize("block", [1, 7, 100, 10**6])
def test_rows_decode_alike_in_blocks_of_any_size(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse_encoding, "_BLOCK_NONZEROS", block)
    matrix = random_sparse_matrix(np.random.default_rng(2), (60, 700), 0.97)
    counts, gaps = encode_gaps(matrix)
    _, column = decode_gaps("m", 700, counts, gaps, matrix.nonzeros)
    assert column.tolist() == matrix.column.tolist()


def test_row_blocks_cover_each_row_once() -> None:
    row_start = np.array([0, 0, 5, 5, 300_000, 600_001, 600_001, 600_002])
    blocks = list(row_blocks(row_start))
    assert [first for first, _ in blocks] == [0, *(last for _, last in blocks[:-1])]
    assert blocks[-1][1] == 7
    assert len(blocks) > 1


def test_two_bytes_a_nonzero() -> None:
    matrix = random_sparse_matrix(np.random.default_rng(3), (2048, 1024), 0.9)
    counts, gaps = encode_gaps(matrix)
    stored = counts.nbytes + gaps.nbytes + matrix.value.nbytes
    assert stored < 2.03 * matrix.nonzeros


def test_no_rows_with_weights() -> None:
    counts, gaps = encode_gaps(sparse_from_dense(np.zeros((3, 4), dtype=np.int64)))
    row_start, column = decode_gaps("m", 4, counts, gaps, 0)
    assert (gaps.size, column.size, row_start.tolist()) == (0, 0, [0, 0, 0, 0])
