"""Proofs about weight matrices, accumulators and requantizers: rules F15 to F18.

Axes: R rows, C columns, n nonzeros. Rules F are those of ``format.md``, rules R those of the
integer arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ModelFileError
from sparsespeech.integer_arithmetic.accumulator_bounds import (
    ACCUMULATOR_LIMIT,
    WIDE_ACCUMULATOR_LIMIT,
    accumulator_bound,
    rescaled_bound,
)
from sparsespeech.integer_arithmetic.fixed_point import (
    MULTIPLIER_LIMIT,
    MULTIPLIER_MINIMUM,
    RESCALED_LIMIT,
    SHIFT_MAXIMUM,
    SHIFT_MINIMUM,
)
from sparsespeech.model_file.model import Requantizer, SparseMatrix
from sparsespeech.model_file.sparse_encoding import row_blocks


def prove_matrix(name: str, matrix: SparseMatrix, shape: tuple[int, int], *, wide: bool) -> None:
    """Rule F15: shape of the graph; columns strictly increasing in 0..C-1; no stored zero."""
    dtype = np.dtype(np.int16 if wide else np.int8)
    if matrix.shape != shape or matrix.value.dtype != dtype:
        raise ModelFileError(
            f"tensor {name!r}: is {matrix.value.dtype.name}{list(matrix.shape)}, "
            f"the graph needs {dtype.name}{list(shape)} (rule F15)"
        )
    starts, column, count = matrix.row_start, matrix.column, matrix.value.size
    if (
        starts.dtype != np.int64
        or starts.shape != (shape[0] + 1,)
        or starts[0] != 0
        or starts[-1] != count
        or (np.diff(starts) < 0).any()
    ):
        raise ModelFileError(
            f"tensor {name!r}: row_start must rise from 0 to {count} in "
            f"int64[{shape[0] + 1}] (rule F15)"
        )
    if column.dtype != np.int32 or column.shape != matrix.value.shape:
        raise ModelFileError(
            f"tensor {name!r}: column is {column.dtype.name}{list(column.shape)}, "
            f"expected int32[{count}] (rule F15)"
        )
    if count == 0:
        return
    if column.min() < 0 or column.max() >= shape[1]:
        raise ModelFileError(
            f"tensor {name!r}: columns reach from {column.min()} to "
            f"{column.max()}, the matrix has {shape[1]} (rule F15)"
        )
    rising = np.diff(column) > 0
    inner = starts[1:-1]
    rising[inner[(inner > 0) & (inner < count)] - 1] = True  # a new row may start further left
    if not rising.all():
        row = int(np.searchsorted(starts, np.argmin(rising), side="right")) - 1
        raise ModelFileError(
            f"tensor {name!r}: columns of row {row} do not rise strictly (rule F15)"
        )
    zeros = np.flatnonzero(matrix.value == 0)
    if zeros.size:
        row = int(np.searchsorted(starts, zeros[0], side="right")) - 1
        raise ModelFileError(f"tensor {name!r}: row {row} stores a weight 0 (rule F15)")


def prove_accumulator(
    name: str, matrix: SparseMatrix, bias_name: str, bias: NDArray[np.int64], *, wide: bool
) -> NDArray[np.int64]:
    """Rules F16 and R3 (R10): no accumulator can overflow; returns the bound of each row."""
    limit = WIDE_ACCUMULATOR_LIMIT if wide else ACCUMULATOR_LIMIT
    rows = matrix.shape[0]
    if bias.dtype != np.int64 or bias.shape != (rows,):
        raise ModelFileError(
            f"tensor {bias_name!r}: is {bias.dtype.name}{list(bias.shape)}, "
            f"expected int64[{rows}] (rule F16)"
        )
    inside = (bias > -limit) & (bias < limit)  # first, so that the sum below cannot wrap
    prove_each(bias_name, inside, bias, f"must be below {limit} in magnitude", "F16")
    bound = np.empty(rows, dtype=np.int64)
    for first, last in row_blocks(matrix.row_start):
        starts = matrix.row_start[first : last + 1]
        bound[first:last] = accumulator_bound(
            starts - starts[0], matrix.value[starts[0] : starts[-1]], bias[first:last], wide=wide
        )
    prove_each(
        name,
        bound < limit,
        bound,
        f"is the largest accumulator of the row, it must be below {limit}",
        "F16",
    )
    return bound


def prove_requantizer(
    name: str, requantizer: Requantizer, bound: NDArray[np.int64], limit: int = RESCALED_LIMIT
) -> None:
    """Rules F17, F18 and R4: M and s in range, and ``|R4'(acc)| < limit`` for ``|acc| <= bound``.

    ``bound``: int64[R], each below 2^47; the requantizer holds one entry or R entries.
    """
    multiplier, shift = requantizer.multiplier, requantizer.shift
    if (
        multiplier.shape not in ((1,), bound.shape)
        or shift.shape != multiplier.shape
        or multiplier.dtype != np.int64
        or shift.dtype != np.int64
    ):
        raise ModelFileError(
            f"tensor {name!r}: multiplier {multiplier.dtype.name}"
            f"{list(multiplier.shape)} and shift {shift.dtype.name}"
            f"{list(shift.shape)} must both be int64[1] or int64[{bound.size}] "
            "(rule F17)"
        )
    legal = (multiplier >= MULTIPLIER_MINIMUM) & (multiplier < MULTIPLIER_LIMIT)
    prove_each(
        f"{name}.multiplier",
        legal,
        multiplier,
        f"must be in {MULTIPLIER_MINIMUM}..{MULTIPLIER_LIMIT - 1}",
        "F17",
    )
    legal = (shift >= SHIFT_MINIMUM) & (shift <= SHIFT_MAXIMUM)
    prove_each(f"{name}.shift", legal, shift, f"must be in {SHIFT_MINIMUM}..{SHIFT_MAXIMUM}", "F17")
    rescaled = rescaled_bound(bound, multiplier, shift)
    prove_each(
        name,
        rescaled < limit,
        rescaled,
        f"is the largest rescaled value of the row, it must be below {limit}",
        "F18",
    )


def row_sums(matrix: SparseMatrix) -> NDArray[np.int64]:
    """Sum of the weights of each row, int64[R]."""
    sums = np.zeros(matrix.shape[0], dtype=np.int64)
    filled = np.diff(matrix.row_start) > 0
    sums[filled] = np.add.reduceat(matrix.value, matrix.row_start[:-1][filled], dtype=np.int64)
    return sums


def prove_each(
    name: str, holds: NDArray[np.bool_], values: NDArray[Any], text: str, rule: str
) -> None:
    """Raise an error for the first entry of ``values`` where ``holds`` is False."""
    broken = np.flatnonzero(~holds)
    if broken.size:
        entry = int(broken[0])
        raise ModelFileError(
            f"tensor {name!r}: entry {entry}: {values[entry]} {text} (rule {rule})"
        )
