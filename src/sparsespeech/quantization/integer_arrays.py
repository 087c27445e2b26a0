"""Float matrices, biases and ratios as proved integer arrays (rules R1, R3, R4, R5, R10, R13).

Axes: R rows of a matrix (outputs), C columns (inputs), H cells of one direction. Every bound that
the reader of a model file will demand is proved here, so that a network that does not fit fails
with the name of its matrix and the row. All arrays that come out are read-only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic.accumulator_bounds import (
    ACCUMULATOR_LIMIT,
    WIDE_ACCUMULATOR_LIMIT,
    accumulator_bound,
    rescaled_bound,
)
from sparsespeech.integer_arithmetic.fixed_point import (
    PEEPHOLE_LIMIT,
    RESCALED_LIMIT,
    WEIGHT_MAXIMUM,
    choose_multiplier,
    quantize_weights,
)
from sparsespeech.model_file.model import LstmPeephole, Requantizer, SparseMatrix
from sparsespeech.quantization.precision import Precision

_CELL_MAGNITUDE = 32768  # largest |c| of R7
_PEEPHOLE_BITS = 16  # R5: in both modes


def integer_matrix(
    name: str, weights: NDArray[np.floating[Any]], precision: Precision
) -> tuple[SparseMatrix, NDArray[np.float64]]:
    """R1: the nonzeros of float[R, C], int8 (int16 in wide mode), and the scale.

    The scale is float64[1], or float64[R] per row. Raises ConversionError on a weight that is not
    finite or too small.
    """
    try:
        integers, scale = quantize_weights(
            weights, bits=precision.weight_bits, per_row=precision.per_row
        )
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None
    return _compress(integers if precision.wide else integers.astype(np.int8)), scale


def integer_peephole(name: str, weights: NDArray[np.floating[Any]]) -> LstmPeephole:
    """R5, R13: float[3, H] of the gates i, f, o to int16 with one scale for all three.

    Raises ConversionError on a weight that is not finite, or a term that leaves its bound.
    """
    try:
        integers, scale = quantize_weights(weights, bits=_PEEPHOLE_BITS)
        multiplier, shift = choose_multiplier(float(scale[0]))
    except ConversionError as error:
        raise ConversionError(f"{name}: {error}") from None
    pair = np.array([multiplier], dtype=np.int64), np.array([shift], dtype=np.int64)
    # |w| reaches 32767 whenever a weight is not 0, so this is the bound of the largest.
    bound = np.array([WEIGHT_MAXIMUM[_PEEPHOLE_BITS] * _CELL_MAGNITUDE], dtype=np.int64)
    largest = int(rescaled_bound(bound, *pair)[0])
    if weights.any() and largest > PEEPHOLE_LIMIT:
        raise ConversionError(
            f"{name}: a peephole term may reach {largest}, rule R5 allows {PEEPHOLE_LIMIT}; "
            f"the largest weight is {float(np.abs(weights).max()):g}: train with weight decay"
        )
    return LstmPeephole(read_only(integers), Requantizer(*map(read_only, pair)))


def requantizer(
    name: str,
    weights: SparseMatrix,
    bias: NDArray[np.int64],
    ratios: NDArray[np.float64],
    *,
    wide: bool,
) -> Requantizer:
    """R13: multipliers and shifts for float64[1] or float64[R], with R4's bound proved."""
    pairs = []
    for row, ratio in enumerate(ratios):
        try:
            pairs.append(choose_multiplier(float(ratio)))
        except ConversionError as error:
            where = f"{name}, row {row}" if ratios.size > 1 else name
            raise ConversionError(f"{where}: {error}") from None
    multiplier, shift = (np.array(values, dtype=np.int64) for values in zip(*pairs, strict=True))
    largest = rescaled_bound(
        accumulator_bound(weights.row_start, weights.value, bias, wide=wide), multiplier, shift
    )
    if (largest >= RESCALED_LIMIT).any():
        row = int(np.argmax(largest))
        raise ConversionError(
            f"{name}, row {row}: a rescaled accumulator may reach "
            f"{largest[row]}, rule R4 allows less than {RESCALED_LIMIT}; the "
            f"calibrated range is far too small for the weights: calibrate on "
            f"real speech"
        )
    return Requantizer(read_only(multiplier), read_only(shift))


def prove_accumulator(
    name: str, weights: SparseMatrix, bias: NDArray[np.int64], *, wide: bool
) -> None:
    """R3: raise ConversionError unless no accumulator of any input can leave int32 (R10: 2^47)."""
    limit = WIDE_ACCUMULATOR_LIMIT if wide else ACCUMULATOR_LIMIT
    bound = accumulator_bound(weights.row_start, weights.value, bias, wide=wide)
    if (bound >= limit).any():
        row = int(np.argmax(bound))
        raise ConversionError(
            f"{name}, row {row}: an accumulator may reach {bound[row]}, rule R3 "
            f"allows less than {limit}; the bias is far larger than "
            f"the weights: train with weight decay, or without --per-row"
        )


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that nobody can write to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _compress(dense: NDArray[np.integer[Any]]) -> SparseMatrix:
    rows, columns = np.nonzero(dense)
    row_start = np.searchsorted(rows, np.arange(dense.shape[0] + 1)).astype(np.int64)
    return SparseMatrix(
        (dense.shape[0], dense.shape[1]),
        read_only(row_start),
        read_only(columns.astype(np.int32)),
        read_only(dense[rows, columns]),
    )
