"""The frames of a padded batch that are speech, so that large products skip the padding.

Axes: T time steps, B utterances, L lanes (B rounded up to 16), F features, R real frames in the
order of [T, B].

Between rows [R, F] and the lanes [T, F, L] of the native loop there is one pass over memory, with
no padded copy between them.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.acoustic_model.sparse_product import FloatArray, lanes_of

try:
    from sparsespeech._native import training as native
except ImportError:  # no compiler at installation: nothing comes here
    native = None

# Below this share of padding all rows count as real: gathering them costs something too.
_LEAST_PADDING = 0.03


class RealFrames:
    """Rows of [T, B, F] before the ends of their utterances; all rows where few are padding."""

    def __init__(self, lengths: Tensor, steps: int) -> None:
        """``lengths`` int64[B], at most ``steps``."""
        batch = len(lengths)
        self._shape = (steps, batch)
        real = torch.arange(steps)[:, None] < lengths
        packs = int(real.sum()) < (1 - _LEAST_PADDING) * real.numel()
        self._numbers = real.flatten().nonzero().squeeze(1) if packs else None
        self._lengths = np.zeros(lanes_of(batch), np.int32)  # rows of each lane
        self._lengths[:batch] = lengths.numpy() if packs else steps

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

    def to_lanes(self, rows: Tensor) -> FloatArray:
        """float32[T, F, L] of bfloat16[R, F], zero where there is no row."""
        out = np.empty((self._shape[0], rows.shape[1], len(self._lengths)), np.float32)
        native.rows_to_lanes(_bits(rows), self._lengths, out)
        return out

    def from_lanes(self, x: FloatArray) -> Tensor:
        """bfloat16[R, F] of x [T, F, L]."""
        out = torch.empty(int(self._lengths.sum()), x.shape[1], dtype=torch.bfloat16)
        native.lanes_to_rows(x, self._lengths, _bits(out))
        return out

    def states_before(self, states: FloatArray, *, reverse: bool) -> Tensor:
        """bfloat16[R, F]: for each row the state [T, F, L] that its step begins with.

        That is the state one step before, with ``reverse`` one step after; zero where the
        direction begins. Beyond an utterance's end the states must be zero.
        """
        if reverse:  # only rows of the last step have none after them
            others, lengths = states[1:], np.minimum(self._lengths, self._shape[0] - 1)
        else:
            others, lengths = states[:-1], np.maximum(self._lengths - 1, 0)
        rows, count = int(self._lengths.sum()), int(lengths.sum())
        out = torch.zeros(rows, states.shape[1], dtype=torch.bfloat16)
        chosen = out[:count] if reverse else out[rows - count :]
        native.lanes_to_rows(others, lengths, _bits(chosen))
        return out


def _bits(x: Tensor) -> NDArray[np.int16]:
    """The bits of bfloat16 x, which numpy does not have."""
    return x.view(torch.int16).numpy()
