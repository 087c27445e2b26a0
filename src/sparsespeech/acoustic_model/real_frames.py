"""The frames of a padded batch that are speech, so that large products skip the padding.

Axes: T time steps, B utterances, F features, R real frames in the order of [T, B].
"""

from __future__ import annotations

import torch
from torch import Tensor

# Below this share of padding the rows are not gathered: copying them costs something too.
_LEAST_PADDING = 0.03


class RealFrames:
    """Rows of [T, B, F] before the ends of their utterances; all rows where few are padding."""

    def __init__(self, lengths: Tensor, steps: int) -> None:
        """``lengths`` int64[B], at most ``steps``."""
        self._shape = (steps, len(lengths))
        real = torch.arange(steps)[:, None] < lengths
        packs = int(real.sum()) < (1 - _LEAST_PADDING) * real.numel()
        self._numbers = real.flatten().nonzero().squeeze(1) if packs else None

    def rows(self, x: Tensor) -> Tensor:
        """[R, F] of x [T, B, F]."""
        flat = x.flatten(0, 1)
        return flat if self._numbers is None else flat.index_select(0, self._numbers)

    def padded(self, rows: Tensor) -> Tensor:
        """[T, B, F] of [R, F], zero in the padding."""
        if self._numbers is None:
            return rows.view(*self._shape, -1)
        out = rows.new_zeros(self._shape[0] * self._shape[1], rows.shape[1])
        return out.index_copy_(0, self._numbers, rows).view(*self._shape, -1)

    def successive(self, x: Tensor, y: Tensor, *, reverse: bool) -> tuple[Tensor, Tensor]:
        """Rows of x [T, B, F] and, for each, the row of y [T, B, G] one step before.

        With ``reverse`` one step after. Frames without such a step are left out; beyond an
        utterance's end y must be zero.
        """
        batch = self._shape[1]
        if self._numbers is None:
            later, earlier = (x[:-1], y[1:]) if reverse else (x[1:], y[:-1])
            return later.flatten(0, 1), earlier.flatten(0, 1)
        others = self._numbers + (batch if reverse else -batch)
        inside = (others >= 0) & (others < self._shape[0] * batch)
        return (
            x.flatten(0, 1).index_select(0, self._numbers[inside]),
            y.flatten(0, 1).index_select(0, others[inside]),
        )
