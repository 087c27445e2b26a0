"""The stored form of a sparse matrix, "gap8": about two bytes a nonzero.

Axes: R rows, C columns, n nonzeros, G gap bytes (at least n).

Per row a uint16 nonzero count; then, row after row, one byte stream of gaps and one of values.
The columns of a row start before column 0. A gap byte g < 255 skips g columns and lands on a
nonzero; a byte 255 skips 255 columns and lands on nothing. There is one way to write a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.model import SparseMatrix

ESCAPE = 255  # a gap byte that skips 255 columns and carries no value
_BLOCK_NONZEROS = 2**18  # rows are decoded in blocks, which bounds the scratch memory


def encode_gaps(matrix: SparseMatrix) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Row nonzero counts uint16[R] and gaps uint8[G] of ``matrix``."""
    counts = np.diff(matrix.row_start)
    column = matrix.column.astype(np.int64)
    skipped = np.diff(column, prepend=-1) - 1
    first = matrix.row_start[:-1][counts > 0]
    skipped[first] = column[first]
    return counts.astype(np.uint16), gap_bytes(skipped)


def gap_bytes(skipped: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The gap bytes uint8[G] of nonzeros that stand behind ``skipped`` int64[n] empty places."""
    bytes_used = skipped // ESCAPE + 1
    gaps = np.full(int(bytes_used.sum()), ESCAPE, dtype=np.uint8)
    gaps[np.cumsum(bytes_used) - 1] = skipped % ESCAPE
    return gaps


def decode_gaps(
    name: str, columns: int, counts: NDArray[np.uint16], gaps: NDArray[np.uint8], nonzeros: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """``row_start`` int64[R + 1] and ``column`` int32[n] of the matrix tensor ``name``.

    Allocates 20 bytes a nonzero, 9 a gap byte and 8 a row at most. Raises ModelFileError
    (rule F14) unless the counts add up to ``nonzeros``, the gaps hold as many landings, the last
    byte lands, and every row ends left of ``columns``.
    """
    row_start = np.zeros(counts.size + 1, dtype=np.int64)
    np.cumsum(counts, dtype=np.int64, out=row_start[1:])
    if row_start[-1] != nonzeros:
        raise ModelFileError(
            f"tensor '{name}.row_nonzeros': counts add up to {row_start[-1]}, "
            f"but '{name}.values' holds {nonzeros} (rule F14)"
        )
    landing = np.flatnonzero(gaps != ESCAPE)
    if landing.size != nonzeros:
        raise ModelFileError(
            f"tensor '{name}.gaps': lands on {landing.size} nonzeros, "
            f"but '{name}.values' holds {nonzeros} (rule F14)"
        )
    if gaps.size and gaps[-1] == ESCAPE:
        raise ModelFileError(f"tensor '{name}.gaps': bytes follow the last nonzero (rule F14)")
    column = np.empty(nonzeros, dtype=np.int32)
    for first_row, last_row in row_blocks(row_start):
        start, stop = int(row_start[first_row]), int(row_start[last_row])
        if start == stop:
            continue
        first_byte = int(landing[start - 1]) + 1 if start else 0
        block = _block_columns(
            gaps[first_byte : int(landing[stop - 1]) + 1],
            landing[start:stop] - first_byte,
            row_start[first_row : last_row + 1] - start,
        )
        beyond = np.flatnonzero(block >= columns)
        if beyond.size:
            row = int(np.searchsorted(row_start, start + beyond[0], side="right")) - 1
            raise ModelFileError(
                f"tensor '{name}.gaps': row {row} reaches column "
                f"{block[beyond[0]]} of {columns} (rule F14)"
            )
        column[start:stop] = block
    return row_start, column


def row_blocks(row_start: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Consecutive row ranges of about 2^18 nonzeros, at least one row each."""
    first, rows = 0, row_start.size - 1
    while first < rows:
        limit = row_start[first] + _BLOCK_NONZEROS
        last = max(first + 1, int(np.searchsorted(row_start, limit, side="right")) - 1)
        yield first, last
        first = last


def _block_columns(
    gaps: NDArray[np.uint8], landing: NDArray[np.int64], row_start: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Columns int64[n] of whole rows; all indices count from the start of the block."""
    passed = np.cumsum(gaps, dtype=np.int64)[landing]  # columns skipped up to each nonzero
    passed += np.arange(1, landing.size + 1)  # and the nonzeros themselves
    before_row = np.concatenate((np.zeros(1, dtype=np.int64), passed))[row_start[:-1]]
    return np.asarray(passed - np.repeat(before_row, np.diff(row_start)) - 1)
