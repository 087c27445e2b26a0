"""What sharing values made of one weight matrix; needs no torch.

Axes: R rows, C columns, n nonzeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SharedMatrix:
    """What became of one matrix; the ratio is that of its weights to their change."""

    name: str
    nonzeros: int
    values_before: int
    values: int
    sqnr_db: float | None  # None where no weight changed

    @classmethod
    def of(cls, name: str, before: NDArray[Any], after: NDArray[Any]) -> SharedMatrix:
        """Facts of weights of any shape, [R, C] or the nonzeros [n] alone, in equal order."""
        old, new = before.astype(np.float64), after.astype(np.float64)
        change = float(((new - old) ** 2).sum())
        return cls(
            name,
            nonzeros=int(np.count_nonzero(new)),
            values_before=int(np.unique(old[old != 0]).size),
            values=int(np.unique(new[new != 0]).size),
            sqnr_db=10 * float(np.log10((old**2).sum() / change)) if change else None,
        )
