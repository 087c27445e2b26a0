"""Fifth pass: no partial sum of a chain can leave its register, whatever the activations are.

Axes: R rows of a matrix, S column slices (the cores of a chain). Activations are uint8, so the sum
of the products of a row over its first columns lies between 255 times the sum of the negative
weights there and 255 times the sum of the positive ones; any order of addition stays between. The
register of the adder tree and of the links has ``partial_sum_bits``, and the tail adds the bias in
it. The 32-bit bounds of R3 and R4 are proved of every model file already.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.matrices import matrix_of, row_constants
from sparsespeech.errors import CompileError
from sparsespeech.integer_arithmetic.accumulator_bounds import LARGEST_ACTIVATION
from sparsespeech.model_file.model import SparseMatrix


def bound_sums(plan: Plan) -> Plan:
    """Adds figures to ``facts``; raises CompileError naming matrix, row, need and limit."""
    limit = 1 << (plan.config.partial_sum_bits - 1)
    figures: dict[str, dict[str, int]] = {}
    worst, message = limit - 1, ""
    for chain in plan.chains:
        if chain.matrix in figures:  # all row groups of a matrix are cut alike
            continue
        bias = row_constants(plan.model, chain.matrix).bias
        partial, full = largest_sums(matrix_of(plan.model, chain.matrix), chain.slices, bias)
        need = int(full.max(initial=0))  # no sum of a core is larger than that of its tail
        figures[chain.matrix] = {
            "largest": int(partial.max(initial=0)),
            "largest_with_bias": need,
            "limit": limit,
        }
        if need > worst:
            row = int(full.argmax())
            worst, message = need, _message(plan, chain, row, partial[row], need)
    if message:
        raise CompileError(message)
    return replace(plan, facts={**plan.facts, "partial_sums": figures})


def largest_sums(
    matrix: SparseMatrix, slices: tuple[tuple[int, int], ...], bias: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Largest magnitude of the sum that leaves each core, int64[R, S], and of it with the bias.

    The second is int64[R]: bias and any part of all products, as the tail may add in any order.
    """
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
    starts = np.array([start for start, _ in slices])
    place = rows * len(slices) + np.searchsorted(starts, matrix.column, side="right") - 1
    sides = []
    for sign in (1, -1):
        weights = np.maximum(sign * matrix.value.astype(np.int64), 0)
        total = np.bincount(  # float64, exact below 2^53
            place, weights=weights, minlength=matrix.shape[0] * len(slices)
        )
        of_core = LARGEST_ACTIVATION * total.astype(np.int64).reshape(-1, len(slices))
        sides.append(np.cumsum(of_core, axis=1))
    positive, negative = sides
    full = np.maximum(positive[:, -1] + np.maximum(bias, 0), negative[:, -1] + np.maximum(-bias, 0))
    return np.maximum(positive, negative), full


def _message(plan: Plan, chain: ChainPlan, row: int, partial: NDArray[np.int64], need: int) -> str:
    bits = plan.config.partial_sum_bits
    limit = 1 << (bits - 1)
    cores = np.flatnonzero(partial >= limit)
    where = f"core {cores[0]} of its chain" if cores.size else "the tail, with its bias"
    return (
        f"{chain.matrix}: row {row} can reach {need}, {plan.config.name} holds sums below {limit} "
        f"(partial_sum_bits = {bits}), which {where} can pass: prune the matrix further, or set "
        f"partial_sum_bits = {need.bit_length() + 1} and flit_bits to row_lanes times as much with "
        "--config"
    )
