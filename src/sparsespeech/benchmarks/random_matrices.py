"""Random sparse int8 matrices, drawn fast enough for the full-size DeepSpeech.

Axes: R rows, C columns.
"""

from __future__ import annotations

import itertools
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.model import SparseMatrix

Pattern = Literal["unstructured", "bank-balanced"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
BANK_NONZEROS = 4  # nonzeros of a row in each bank of a bank-balanced matrix

# Pruning by magnitude keeps the tail of the distribution: no small weights are left.
_SMALLEST_MAGNITUDE, _LARGEST_MAGNITUDE = 48, 127
_ENTRIES_AT_ONCE = 1 << 23  # random numbers drawn at once: 32 MiB of float32


def random_matrix(
    rng: np.random.Generator, shape: tuple[int, int], density: float, pattern: Pattern
) -> SparseMatrix:
    """Weights of magnitude 48..127 and random sign at random places.

    ``unstructured``: each weight is there with the probability ``density``. ``bank-balanced``: the
    columns are cut into ``round(C * density / 4)`` banks of nearly equal width, and each row has 4
    nonzeros in each bank, or all where a bank is narrower. Raises ValueError unless
    0 < density <= 1.
    """
    if not 0 < density <= 1:
        raise ValueError(f"density must be in (0, 1], got {density}")
    rows, columns = shape
    edges = _bank_edges(columns, density)
    step = max(1, _ENTRIES_AT_ONCE // columns)
    counts, places = [], []
    for first in range(0, rows, step):
        draw = rng.random((min(step, rows - first), columns), dtype=np.float32)
        kept = _smallest_of_banks(draw, edges) if pattern == "bank-balanced" else draw < density
        counts.append(kept.sum(axis=1))
        places.append(np.flatnonzero(kept) % columns)
    column = np.concatenate(places).astype(np.int32)
    magnitude = rng.integers(
        _SMALLEST_MAGNITUDE, _LARGEST_MAGNITUDE, column.size, dtype=np.int8, endpoint=True
    )
    negative = rng.integers(0, 2, column.size, dtype=np.int8)
    row_start = np.concatenate(([0], np.cumsum(np.concatenate(counts), dtype=np.int64)))
    return SparseMatrix(
        shape=shape,
        row_start=_frozen(row_start),
        column=_frozen(column),
        value=_frozen(np.where(negative, -magnitude, magnitude)),
    )


def _bank_edges(columns: int, density: float) -> NDArray[np.int64]:
    """First column of each bank, and the end of the last."""
    banks = max(1, round(columns * density / BANK_NONZEROS))
    return np.arange(banks + 1, dtype=np.int64) * columns // banks


def _smallest_of_banks(draw: NDArray[np.float32], edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marks the BANK_NONZEROS smallest entries of each row in each bank; bool[R, C]."""
    kept = np.zeros(draw.shape, dtype=np.bool_)
    for start, stop in itertools.pairwise(edges.tolist()):
        count = min(BANK_NONZEROS, stop - start)
        places = np.argpartition(draw[:, start:stop], count - 1, axis=1)[:, :count]
        np.put_along_axis(kept[:, start:stop], places, True, axis=1)
    return kept


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
