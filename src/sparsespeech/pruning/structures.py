"""Masks with a pattern: balanced banks, a cap for the nonzeros of a row, N of M, blocks.

Axes: R rows, C columns, S slices of a row, W columns of a slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sparsespeech.pruning.magnitude import magnitude_mask
from sparsespeech.pruning.structure_settings import (
    BankBalanced,
    Block,
    NOfM,
    RowCap,
    Structure,
    Unstructured,
)


def structured_mask(
    weight: Tensor,
    mask: Tensor,
    sparsity: float,
    structure: Structure,
    relaxation: float = 1.0,
) -> Tensor:
    """Mask [R, C] of ``weight`` [R, C] with the pattern of ``structure``; keeps large weights.

    About ``sparsity`` of the entries are zero, and all that ``mask`` has zero; banks and blocks
    round to whole weights of a bank and whole blocks. A cap is ``relaxation`` times as wide (at
    least 1): early in a ramp the final cap would prune far more than the ramp asks for.
    """
    match structure:
        case Unstructured():
            return magnitude_mask(weight, mask, sparsity)
        case BankBalanced(bank=bank):
            # A pool or a threshold may ask for more than leaves every whole bank a weight.
            whole = min(bank, weight.shape[1])
            return _prune_slices(
                weight,
                mask,
                bank,
                lambda width: min(round(sparsity * width), width - (width == whole)),
            )
        case RowCap(keep=keep, columns=columns):
            # The largest weights under the cap: greedy choice is exact here, because the sets
            # with at most so many weights a slice form a matroid.
            capped = _cap_slices(weight, mask, columns, keep * relaxation)
            return magnitude_mask(weight, capped, sparsity)
        case NOfM(n=n, m=m):
            capped = _cap_slices(weight, mask, m, n * relaxation)
            largest = _cap_slices(weight, mask, m, n)
            if round(sparsity * mask.numel()) <= mask.numel() - int(largest.count_nonzero()):
                # A ramp to exactly N of M must leave N in each M on its way.
                weight = torch.where(largest > 0, torch.inf, weight.detach())
            return magnitude_mask(weight, capped, sparsity)
        case Block(rows=rows, columns=columns):
            return _block_mask(weight, mask, sparsity, rows, columns)


def least_sparsity(structure: Structure, columns: int) -> float:
    """The sparsity that the pattern alone makes of rows of ``columns`` weights."""
    match structure:
        case RowCap(keep=keep, columns=width) | NOfM(n=keep, m=width):
            slices, rest = divmod(columns, width)
            return 1.0 - (slices * keep + min(rest, keep)) / columns
        case _:
            return 0.0


def most_sparsity(structure: Structure, columns: int) -> float:
    """The largest sparsity that leaves what the pattern must have in rows of ``columns`` weights.

    That is a weight in every bank; the other patterns may be emptied.
    """
    match structure:
        case BankBalanced(bank=bank):
            return 1.0 - 1.0 / min(bank, columns)
        case _:
            return 1.0


def _cap_slices(weight: Tensor, mask: Tensor, width: int, most: float) -> Tensor:
    """Keep at most the ``most`` largest weights of each slice, rounded up."""
    cap = math.ceil(most - 1e-9)  # an exact product must not be lifted by its rounding error
    return _prune_slices(weight, mask, width, lambda size: size - cap)


def _prune_slices(weight: Tensor, mask: Tensor, width: int, zeros: Callable[[int], int]) -> Tensor:
    """Prune the ``zeros(W)`` smallest weights of each slice of ``width`` columns.

    The last slice of a row may be narrower.
    """
    rows, columns = weight.shape
    whole = columns - columns % width
    parts = []
    for first, last, size in ((0, whole, width), (whole, columns, columns - whole)):
        if first < last:
            shape = (rows, -1, size)
            part = _prune_each(
                weight[:, first:last].reshape(shape),
                mask[:, first:last].reshape(shape),
                zeros(size),
            )
            parts.append(part.reshape(rows, last - first))
    return torch.cat(parts, dim=1)


def _prune_each(weight: Tensor, mask: Tensor, zeros: int) -> Tensor:
    """Mask [R, S, W] without the ``zeros`` smallest of each W weights; ties by position."""
    if zeros <= 0:
        return mask
    magnitude = torch.where(mask > 0, weight.detach().abs(), -1.0)
    threshold = magnitude.kthvalue(zeros, dim=-1, keepdim=True).values
    below = magnitude < threshold
    equal = magnitude == threshold
    rank = below.sum(dim=-1, keepdim=True) + equal.cumsum(dim=-1, dtype=torch.int32)
    return mask.masked_fill(below | (equal & (rank <= zeros)), 0.0)


def _block_mask(weight: Tensor, mask: Tensor, sparsity: float, rows: int, columns: int) -> Tensor:
    """Prune whole blocks; those at the right and lower edge may be smaller."""
    bottom, right = -weight.shape[0] % rows, -weight.shape[1] % columns

    def sums(values: Tensor) -> Tensor:
        padded = nn.functional.pad(values, (0, right, 0, bottom))
        height, width = padded.shape[0] // rows, padded.shape[1] // columns
        return padded.view(height, rows, width, columns).sum(dim=(1, 3))

    mean = sums(weight.detach().abs() * mask) / sums(torch.ones_like(mask))
    blocks = magnitude_mask(mean, (sums(mask) > 0).to(mask.dtype), sparsity)
    spread = blocks.repeat_interleave(rows, dim=0).repeat_interleave(columns, dim=1)
    return mask * spread[: weight.shape[0], : weight.shape[1]]
