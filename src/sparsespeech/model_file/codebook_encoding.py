"""The coded form of a sparse matrix, "huffman": a codebook, and two Huffman-coded streams.

Axes: R rows, C columns, n nonzeros, K values that occur, S gap bytes that may occur.

As in deep compression (Hot Chips report): the values of a matrix stand once in a codebook, each
nonzero stores the number of its value, its place is the gap to the nonzero before, and both numbers
are Huffman-coded. Gaps are bytes as in ``sparse_encoding.py`` but run on from row to row, so that
no row counts are needed: the place of a weight is ``row * C + column``.

A model whose weights share few values (``sparsespeech compress --codebook``) has short codes; any
other model can be stored in this form too. Decoding gives the same matrix, bit for bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import huffman
from sparsespeech.model_file.huffman import CodedStream
from sparsespeech.model_file.model import SparseMatrix
from sparsespeech.model_file.sparse_encoding import ESCAPE, gap_bytes

GAP_SYMBOLS = ESCAPE + 1


class CodedMatrix(NamedTuple):
    """``gaps`` codes gap bytes, ``codes`` places in the ``codebook`` (int8[K] or int16[K])."""

    gaps: CodedStream
    codebook: NDArray[Any]
    codes: CodedStream


def matrix_symbols(
    matrix: SparseMatrix,
) -> tuple[NDArray[np.uint8], NDArray[Any], NDArray[np.int64]]:
    """Gap bytes uint8[G] of ``matrix``, its codebook and the place there of each value int64[n]."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.row_start))
    places = rows * matrix.shape[1] + matrix.column
    codebook, codes = np.unique(matrix.value, return_inverse=True)
    return gap_bytes(np.diff(places, prepend=-1) - 1), codebook, codes


def encode_matrix(matrix: SparseMatrix) -> CodedMatrix:
    """The one coded form of a matrix that keeps the rules of ``weight_rules.py``."""
    gaps, codebook, codes = matrix_symbols(matrix)
    coded_gaps = huffman.encode(gaps, int(gaps.max(initial=0)) + 1 if gaps.size else 0)
    return CodedMatrix(coded_gaps, codebook, huffman.encode(codes, codebook.size))


def decode_matrix(name: str, shape: tuple[int, int], coded: CodedMatrix) -> SparseMatrix:
    """The matrix tensor ``name`` of ``shape`` (R, C), its arrays writable.

    Allocates at most 40 bytes a gap besides what :func:`huffman.decode` does. Raises
    ModelFileError: rules F24 and F25 for a stream that does not decode, F26 for another number of
    gaps than of codes, a place beyond the matrix or a codebook that does not rise.
    """
    if coded.gaps.lengths.size > GAP_SYMBOLS or not coded.gaps.lengths[-1:].all():
        raise ModelFileError(
            f"tensor '{name}.gap_lengths': holds {coded.gaps.lengths.size} lengths, must hold "
            f"{GAP_SYMBOLS} at most and end with a code (rule F26)"
        )
    if (np.diff(coded.codebook.astype(np.int64)) <= 0).any():
        raise ModelFileError(f"tensor '{name}.codebook': must rise strictly (rule F26)")
    if coded.codes.lengths.size != coded.codebook.size or not coded.codes.lengths.all():
        raise ModelFileError(
            f"tensor '{name}.code_lengths': must hold a code for each of the "
            f"{coded.codebook.size} values of the codebook (rule F26)"
        )
    gaps = huffman.decode(f"{name}.gap", coded.gaps)
    places = _places(name, shape, gaps)
    codes = huffman.decode(f"{name}.code", coded.codes)
    if codes.size != places.size:
        raise ModelFileError(
            f"tensor '{name}.code_bits': holds {codes.size} codes, but '{name}.gap_bits' lands on "
            f"{places.size} nonzeros (rule F26)"
        )
    rows, columns = shape
    row_start = np.searchsorted(places, np.arange(rows + 1, dtype=np.int64) * columns)
    column = (places % columns).astype(np.int32)
    return SparseMatrix(shape, row_start.astype(np.int64), column, coded.codebook[codes])


def _places(name: str, shape: tuple[int, int], gaps: NDArray[np.uint16]) -> NDArray[np.int64]:
    """``row * C + column`` int64[n] of each nonzero, strictly rising."""
    if gaps.size and gaps[-1] == ESCAPE:
        raise ModelFileError(f"tensor '{name}.gap_bits': gaps follow the last nonzero (rule F26)")
    landing = np.flatnonzero(gaps != ESCAPE)
    places = np.cumsum(gaps, dtype=np.int64)[landing]  # places skipped up to each nonzero
    places += np.arange(places.size)  # and the nonzeros before
    if places.size and places[-1] >= shape[0] * shape[1]:
        raise ModelFileError(
            f"tensor '{name}.gap_bits': reaches place {places[-1]} of {shape[0] * shape[1]} in "
            f"{shape[0]} rows of {shape[1]} columns (rule F26)"
        )
    return places
