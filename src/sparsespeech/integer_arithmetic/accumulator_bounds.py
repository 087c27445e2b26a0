"""Rules R3, R4, R5 and R10: the bounds that converter and reader prove before anything runs.

Axes: R rows. With these bounds no partial sum, in any order of addition, leaves the accumulator,
and no later sum leaves 32 bits. Only numpy is needed, so the model file's reader can use it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ACCUMULATOR_LIMIT = 1 << 31  # R3
WIDE_ACCUMULATOR_LIMIT = 1 << 47  # R10
LARGEST_ACTIVATION = 255  # R3
LARGEST_WIDE_ACTIVATION = 32768  # R10


def accumulator_bound(
    row_start: NDArray[np.int64],
    value: NDArray[np.integer[Any]],
    bias: NDArray[np.int64],
    *,
    wide: bool = False,
) -> NDArray[np.int64]:
    """R3: ``sum|w|*255 + |bias|`` of each row (32768 in wide mode), int64[R].

    ``row_start``: int64[R + 1] and ``value``: the nonzeros, as in SparseMatrix; ``bias``: int64[R],
    below 2^62 in magnitude.
    """
    running = np.concatenate(([0], np.cumsum(np.abs(value.astype(np.int64)))))
    weight_sum = running[row_start[1:]] - running[row_start[:-1]]
    largest = LARGEST_WIDE_ACTIVATION if wide else LARGEST_ACTIVATION
    return weight_sum * largest + np.abs(bias)


def rescaled_bound(
    bound: NDArray[np.int64], multiplier: NDArray[np.int64], shift: NDArray[np.int64]
) -> NDArray[np.int64]:
    """R4: the largest ``|R4'(acc)|`` over ``|acc| <= bound``, int64[R].

    R4' does not decrease with acc, so the largest magnitude is at an end; half up makes the
    positive end the larger one. ``bound`` must be below 2^47.
    """
    return (bound * multiplier + np.left_shift(np.int64(1), shift - 1)) >> shift
