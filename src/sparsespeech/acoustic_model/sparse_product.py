"""Linear layers under training whose pruned weights cost nothing.

Axes: T time steps, B utterances, L lanes (B rounded up to 16), I inputs, O outputs.

The native kernels skip pruned weights in all three products of a training step: forward, gradient
of the input, and gradient of the weights that are left. Pruned weights get the gradient 0, so this
is for networks whose zeros never return (not for straight-through regrowth).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.cpu_engine.native import INSTRUCTION_SET_VARIABLE, choose_instruction_set

try:
    from sparsespeech._native import training as native
except ImportError:  # no compiler at installation: training runs on torch alone
    native = None

# Density up to which skipping zeros is faster than a dense product. At half of it the sparse
# product takes half the time; the exact value matters little. Beside AMX tiles, which multiply
# dense bf16 matrices many times faster, it is much lower (docs/decisions/0009).
MOST_DENSITY = 0.25
_MOST_DENSITY_BESIDE_TILES = 0.07
_TILES = "amx_bf16"
MOST_LANES = 64
_LANES_OF_REGISTER = 16
_INSTRUCTION_SETS = ("avx512", "amx")  # that hold what the training kernels are made of

FloatArray = NDArray[np.float32]


def kernels_available() -> bool:
    """Whether the native module has training kernels for this processor and may use them.

    SPARSESPEECH_CPU_ISA turns them off by naming an instruction set below theirs. Raises
    InstructionSetError for a name that is none or that this processor lacks.
    """
    if native is None or not native.available():
        return False
    if not os.environ.get(INSTRUCTION_SET_VARIABLE):
        return True
    return choose_instruction_set() in _INSTRUCTION_SETS


def kernel_set() -> str | None:
    """Instruction set of the training kernels in use: avx512_bf16 or amx_bf16; None without any.

    Raises InstructionSetError as :func:`kernels_available` does.
    """
    return str(native.kernel_set()) if kernels_available() else None


@dataclass(frozen=True, eq=False)
class SparsePattern:
    """Where the nonzeros of a matrix [O, I] are, row by row and column by column."""

    shape: tuple[int, int]
    index: Tensor  # int64[nonzeros], positions in the flattened matrix
    first: NDArray[np.int32]  # [O + 1]
    columns: NDArray[np.int32]  # [nonzeros]
    transposed_order: Tensor  # int64[nonzeros], the same nonzeros column by column
    transposed_first: NDArray[np.int32]  # [I + 1]
    transposed_columns: NDArray[np.int32]  # [nonzeros], rows of the matrix

    @classmethod
    def of(cls, mask: Tensor) -> SparsePattern:
        """Pattern of the nonzero entries of ``mask`` [O, I]."""
        rows, columns = mask.shape
        positions = mask.cpu().nonzero()
        row, column = positions[:, 0].numpy(), positions[:, 1].numpy()
        order = np.argsort(column, kind="stable")
        return cls(
            (rows, columns),
            torch.from_numpy(row * columns + column),
            _offsets(row, rows),
            column.astype(np.int32),
            torch.from_numpy(order),
            _offsets(column, columns),
            row[order].astype(np.int32),
        )

    @property
    def density(self) -> float:
        """Share of nonzeros."""
        return len(self.columns) / (self.shape[0] * self.shape[1])

    def values(self, weight: Tensor) -> Tensor:
        """float32[nonzeros] of ``weight`` [O, I], row by row."""
        return weight.detach().float().reshape(-1)[self.index]

    def matrix(self, values: Tensor) -> tuple[Any, Any, Any]:
        """The arguments of the kernels for the product with the matrix."""
        return self.first, self.columns, values.numpy()

    def transposed(self, values: Tensor) -> tuple[Any, Any, Any]:
        """The same for the product with the transposed matrix."""
        ordered = values[self.transposed_order]
        return self.transposed_first, self.transposed_columns, ordered.numpy()

    def gradient(self, gradient: FloatArray, x: FloatArray, *, bfloat16: bool) -> Tensor:
        """float32[O, I]: sum of ``gradient`` [T, O, L] times ``x`` [T, I, L] at the nonzeros."""
        values = torch.empty(len(self.columns))
        native.sparse_gradient(self.first, self.columns, gradient, x, bfloat16, values.numpy())
        dense = torch.zeros(self.shape[0] * self.shape[1])
        dense[self.index] = values
        return dense.view(self.shape)


def _offsets(sorted_or_not: NDArray[np.int64], count: int) -> NDArray[np.int32]:
    first = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(sorted_or_not, minlength=count), out=first[1:])
    return first


def usable_pattern(
    pattern: SparsePattern | None, x: Tensor, *, bfloat16: bool | None = None
) -> SparsePattern | None:
    """``pattern`` if the kernels can and should use it for ``x`` [T, B, I], else None.

    ``bfloat16`` says whether a dense product would be in bf16; None: as autocast says.
    """
    if pattern is None or x.device.type != "cpu" or x.shape[1] > MOST_LANES:
        return None
    if not kernels_available():
        return None
    beside_bfloat16 = torch.is_autocast_enabled("cpu") if bfloat16 is None else bfloat16
    tiles = beside_bfloat16 and kernel_set() == _TILES
    return (
        pattern
        if pattern.density <= (_MOST_DENSITY_BESIDE_TILES if tiles else MOST_DENSITY)
        else None
    )


def lanes_of(batch: int) -> int:
    """Lanes for ``batch`` utterances."""
    return -(-batch // _LANES_OF_REGISTER) * _LANES_OF_REGISTER


def to_lanes(x: Tensor, columns: slice | None = None) -> FloatArray:
    """float32[T, F, L] of x [T, B, F], float32 or bfloat16, or of some ``columns`` of it."""
    x = x.detach().contiguous()
    first, end, _ = (columns or slice(None)).indices(x.shape[2])
    out = np.empty((x.shape[0], end - first, lanes_of(x.shape[1])), np.float32)
    if x.dtype == torch.bfloat16:
        native.to_lanes(x.view(torch.int16).numpy(), first, out)
    else:
        native.to_lanes(x.float().numpy(), first, out)
    return out


def from_lanes(x: FloatArray, batch: int) -> Tensor:
    """float32[T, B, F] of x [T, F, L]."""
    out = torch.empty(x.shape[0], batch, x.shape[1])
    native.from_lanes(x, 0, out.numpy())
    return out


def multiply(matrix: tuple[Any, Any, Any], x: FloatArray, *, bfloat16: bool) -> FloatArray:
    """float32[T, O, L] of a sparse matrix [O, I] and x [T, I, L]."""
    out = np.empty((x.shape[0], len(matrix[0]) - 1, x.shape[2]), np.float32)
    native.sparse_product(matrix, None, x, bfloat16, False, out)
    return out


def sparse_linear(x: Tensor, weight: Tensor, bias: Tensor, pattern: SparsePattern) -> Tensor:
    """W x + b, float32[T, B, O] of x [T, B, I]; W [O, I] is zero outside ``pattern``.

    Under bf16 autocast activations and gradients are rounded to bf16 inside the products.
    """
    function: Callable[..., Tensor] = _SparseLinear.apply
    return function(x, weight, bias, pattern, torch.is_autocast_enabled("cpu"))


class _SparseLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        pattern: SparsePattern,
        bfloat16: bool,
    ) -> Tensor:
        lanes = to_lanes(x)
        values = pattern.values(weight)
        out = np.empty((lanes.shape[0], pattern.shape[0], lanes.shape[2]), np.float32)
        native.sparse_product(
            pattern.matrix(values), bias.detach().float().numpy(), lanes, bfloat16, False, out
        )
        ctx.lanes, ctx.values, ctx.pattern, ctx.bfloat16 = lanes, values, pattern, bfloat16
        ctx.batch, ctx.dtype = x.shape[1], x.dtype
        return from_lanes(out, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        pattern: SparsePattern = ctx.pattern
        gradient = to_lanes(gradients[0])
        grad_x = None
        if ctx.needs_input_grad[0]:
            product = multiply(pattern.transposed(ctx.values), gradient, bfloat16=ctx.bfloat16)
            grad_x = from_lanes(product, ctx.batch).to(ctx.dtype)
        grad_weight = pattern.gradient(gradient, ctx.lanes, bfloat16=ctx.bfloat16)
        grad_bias = gradients[0].float().sum(dim=(0, 1))
        return grad_x, grad_weight, grad_bias, None, None
