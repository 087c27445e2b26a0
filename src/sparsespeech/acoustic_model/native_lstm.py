"""The LSTM of ``lstm_function.py`` with the loop over time in native code.

Axes: T time steps, B utterances, L lanes (B rounded up to 16), I inputs, H cells of one
direction. Gate order i, f, g, o.

Each of the two matrices of a direction is multiplied densely in bf16 or, where it has a
``SparsePattern``, by its nonzeros only. The backward direction runs the loop the other way and
keeps h and c at zero until an utterance's last frame; nothing is reversed in memory.

With ``rounding`` the input part of a gate saturates before the recurrent part joins it, and no
gradient passes a saturated one. The loop knows nothing of that: where it happened is found before
the loop forward and left out after the loop backward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.acoustic_model.real_frames import RealFrames
from sparsespeech.acoustic_model.sparse_product import (
    MOST_LANES,
    FloatArray,
    SparsePattern,
    from_lanes,
    kernels_available,
    lanes_of,
    multiply,
    to_lanes,
    usable_pattern,
)
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding

try:
    from sparsespeech._native import training as native
except ImportError:  # no compiler at installation: native_lstm_serves nothing
    native = None

# Below this number of utterances most lanes would be empty.
_FEWEST_UTTERANCES = 3


@dataclass(frozen=True, eq=False)
class Direction:
    """Tensors of one direction: weight_ih [4H, I], weight_hh [4H, H], bias [4H], patterns."""

    weight_ih: Tensor
    weight_hh: Tensor
    bias: Tensor
    pattern_ih: SparsePattern | None
    pattern_hh: SparsePattern | None


def native_lstm_serves(
    x: Tensor, directions: list[Direction], rounding: StepRounding | None = None
) -> bool:
    """Whether the native loop can and should do x [T, B, I].

    Dense matrices need bf16 autocast and no rounding: the dense kernel knows no other product.
    """
    if x.device.type != "cpu" or not kernels_available():
        return False
    if not _FEWEST_UTTERANCES <= x.shape[1] <= MOST_LANES or directions[0].weight_hh.shape[1] % 2:
        return False
    if rounding is None and torch.is_autocast_enabled("cpu"):
        return True
    return all(
        usable_pattern(pattern, x, bfloat16=False) is not None
        for direction in directions
        for pattern in (direction.pattern_ih, direction.pattern_hh)
    )


def native_lstm(
    x: Tensor,
    lengths: Tensor,
    directions: list[Direction],
    rounding: StepRounding | None = None,
) -> Tensor:
    """float32[T, B, D * H] of x [T, B, I]; zero beyond ``lengths`` (int64[B]).

    Products are in bf16 under autocast, but never with ``rounding``, whose grids bf16 cannot hold.
    """
    tensors = [t for d in directions for t in (d.weight_ih, d.weight_hh, d.bias)]
    bfloat16 = rounding is None and torch.is_autocast_enabled("cpu")
    patterns = [
        tuple(usable_pattern(each, x, bfloat16=bfloat16) for each in (d.pattern_ih, d.pattern_hh))
        for d in directions
    ]
    grids = rounding or StepRounding()
    function: Callable[..., Tensor] = _NativeLstm.apply
    return function(x, lengths, (patterns, grids, bfloat16), *tensors)


class _NativeLstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: Tensor, settings: Any, *tensors: Tensor) -> Tensor:
        patterns, grids, bfloat16 = settings
        steps, batch, _ = x.shape
        cells = tensors[1].shape[1]
        padded = np.zeros(lanes_of(batch), np.int32)
        padded[:batch] = lengths.numpy()
        dense = any(ih is None for ih, _ in patterns)
        ctx.frames = RealFrames(lengths, steps)
        ctx.x = ctx.frames.rows(x.detach().to(torch.bfloat16)) if dense else None  # [R, I]
        ctx.lanes = to_lanes(x) if any(ih is not None for ih, _ in patterns) else None
        ctx.lengths, ctx.patterns, ctx.bfloat16 = padded, patterns, bfloat16
        ctx.rounding = (grids.gates or 0.0, grids.cell or 0.0, grids.hidden or 0.0)
        ctx.batch, ctx.dtype = batch, x.dtype
        ctx.save_for_backward(*tensors)
        ctx.states = []
        output = torch.empty(steps, batch, len(patterns) * cells)
        for number, (pattern_ih, pattern_hh) in enumerate(patterns):
            weight_ih, weight_hh, bias = tensors[3 * number : 3 * number + 3]
            if pattern_ih is None:
                product = torch.matmul(ctx.x, weight_ih.detach().to(torch.bfloat16).T)
                gates = ctx.frames.to_lanes(product)
            else:
                matrix = pattern_ih.matrix(pattern_ih.values(weight_ih))
                gates = multiply(matrix, ctx.lanes, bfloat16=bfloat16)
            open_input = _open_input(gates, bias, grids.gate_grid)
            cell = np.empty((steps, cells, len(padded)), np.float32)
            hidden = np.empty_like(cell)
            native.lstm_forward(
                padded,
                number == 1,
                _recurrent(weight_hh, pattern_hh),
                bias.detach().float().numpy(),
                ctx.rounding,
                bfloat16,
                gates,
                cell,
                hidden,
            )
            native.from_lanes(hidden, number * cells, output.numpy())
            ctx.states.append((gates, cell, hidden, open_input))
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        cells, results = tensors[1].shape[1], []
        grad_x = _InputGradient(ctx.frames, ctx.batch, bfloat16=ctx.bfloat16)
        x_columns = ctx.x.T.contiguous() if ctx.x is not None else None  # [I, R]
        for number, (pattern_ih, pattern_hh) in enumerate(ctx.patterns):
            weight_ih, weight_hh, _ = tensors[3 * number : 3 * number + 3]
            gates, cell, hidden, open_input = ctx.states[number]
            grad_bias = torch.empty(4 * cells)
            native.lstm_backward(
                ctx.lengths,
                number == 1,
                _recurrent(weight_hh, pattern_hh, transposed=True),
                ctx.rounding,
                ctx.bfloat16,
                to_lanes(gradients[0], slice(number * cells, (number + 1) * cells)),
                cell,
                gates,
                grad_bias.numpy(),
            )
            # From here on `gates` holds the gradients of the gates.
            rows = None
            if pattern_ih is None or pattern_hh is None:
                rows = ctx.frames.from_lanes(gates)  # [R, 4H]
            if pattern_hh is None:
                states = ctx.frames.states_before(hidden, reverse=number == 1)
                grad_hh = _outer(rows, states.T.contiguous())
            else:
                later, earlier = (gates[:-1], hidden[1:]) if number else (gates[1:], hidden[:-1])
                grad_hh = pattern_hh.gradient(later, earlier, bfloat16=ctx.bfloat16)
            if open_input is not None:  # rounding, and so no dense matrix: no `rows`
                gates *= open_input
                grad_bias = torch.from_numpy(gates).sum(dim=(0, 2))
            if pattern_ih is None:
                grad_ih = _outer(rows, x_columns)
            else:
                grad_ih = pattern_ih.gradient(gates, ctx.lanes, bfloat16=ctx.bfloat16)
            if ctx.needs_input_grad[0]:
                grad_x.add(weight_ih, pattern_ih, gates, rows)
            results += [grad_ih, grad_hh, grad_bias]
        ctx.states.clear()
        return grad_x.total(ctx.dtype), None, None, *results


class _InputGradient:
    """The gradient of x [T, B, I], a sum over directions.

    Of rows where the matrix is dense, of lanes where it is not; each becomes [T, B, I] once.
    """

    def __init__(self, frames: RealFrames, batch: int, *, bfloat16: bool) -> None:
        self._frames, self._batch, self._bfloat16 = frames, batch, bfloat16
        self._rows: Tensor | None = None  # float32[R, I]
        self._lanes: FloatArray | None = None  # [T, I, L]

    def add(
        self, weight: Tensor, pattern: SparsePattern | None, gates: FloatArray, rows: Tensor | None
    ) -> None:
        """One direction: gradients of the gates [T, 4H, L], with a dense matrix as ``rows`` too."""
        if pattern is None:
            assert rows is not None
            share = torch.matmul(rows, weight.detach().to(torch.bfloat16))
            self._rows = share.float() if self._rows is None else self._rows.add_(share)
            return
        matrix = pattern.transposed(pattern.values(weight))
        if self._lanes is None:
            self._lanes = multiply(matrix, gates, bfloat16=self._bfloat16)
        else:
            native.sparse_product(matrix, None, gates, self._bfloat16, True, self._lanes)

    def total(self, dtype: torch.dtype) -> Tensor | None:
        """[T, B, I]; None where nothing was added."""
        parts = []
        if self._rows is not None:
            parts.append(self._frames.padded(self._rows.to(dtype)))
        if self._lanes is not None:
            parts.append(from_lanes(self._lanes, self._batch).to(dtype))
        return sum(parts[1:], parts[0]) if parts else None


def _open_input(gates: FloatArray, bias: Tensor, grid: Grid | None) -> NDArray[np.bool_] | None:
    """Where the input part ``gates`` [T, 4H, L] plus ``bias`` [4H] does not saturate on ``grid``.

    None where it nowhere does, which the extremes tell most times: rounding never swaps two sums.
    """
    if grid is None:
        return None
    products, offset = torch.from_numpy(gates), bias.detach().float()
    low, high = products.aminmax()
    extremes = torch.stack((low + offset.min(), high + offset.max()))
    if bool(grid.holds(extremes).all()):
        return None
    return grid.holds(products + offset[:, None]).numpy()


def _recurrent(weight: Tensor, pattern: SparsePattern | None, *, transposed: bool = False) -> Any:
    if pattern is not None:
        values = pattern.values(weight)
        return pattern.transposed(values) if transposed else pattern.matrix(values)
    matrix = weight.detach().T if transposed else weight.detach()
    return matrix.to(torch.bfloat16).contiguous().view(torch.int16).numpy()


def _outer(gradient: Tensor | None, columns: Tensor | None) -> Tensor:
    """float32[O, I]: sum over rows of gradient [R, O] times x [R, I], of which ``columns`` [I, R].

    The transposed first factor of a product takes torch twice the time, and x, which is turned
    before, is smaller than the gradient.
    """
    assert gradient is not None and columns is not None  # a dense matrix has rows
    return torch.matmul(columns, gradient).T.contiguous().float()
