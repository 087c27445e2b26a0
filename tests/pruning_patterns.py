"""What each structure promises of a mask, written down once more for tests, slice by slice.

Axes: R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sparsespeech.pruning.structure_settings import (
    BankBalanced,
    Block,
    NOfM,
    RowCap,
    Structure,
    Unstructured,
)


def holds_pattern(mask: Tensor, structure: Structure, before: Tensor | None = None) -> bool:
    """Whether ``mask`` [R, C] of zeros and ones has the pattern of ``structure``.

    ``before`` are the weights that there were to choose from, all by default: a bank that had
    fewer than the others keep may end with fewer.
    """
    before = torch.ones_like(mask) if before is None else before
    if bool((mask > before).any()):
        return False
    match structure:
        case Unstructured():
            return True
        case RowCap(keep=most, columns=width) | NOfM(n=most, m=width):
            return all(bool((kept <= most).all()) for kept, _, _ in _slices(mask, before, width))
        case BankBalanced(bank=width):
            return _balanced(mask, before, width)
        case Block(rows=rows, columns=columns):
            return all(
                not bool(after.any()) or torch.equal(after, there)
                for after, there in _blocks(mask, before, rows, columns)
            )


def _slices(mask: Tensor, before: Tensor, width: int) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Weights kept and weights there, [R] each, in every ``width`` columns; and their number."""
    parts = zip(mask.split(width, dim=1), before.split(width, dim=1), strict=True)
    for after, there in parts:
        yield after.sum(dim=1), there.sum(dim=1), after.shape[1]


def _balanced(mask: Tensor, before: Tensor, bank: int) -> bool:
    """All banks of a width keep one number of weights, or what they had where that was less."""
    largest: dict[int, int] = {}
    for kept, _, width in _slices(mask, before, bank):
        largest[width] = max(largest.get(width, 0), int(kept.max()))
    return all(
        torch.equal(kept, there.clamp(max=largest[width]))
        for kept, there, width in _slices(mask, before, bank)
    )


def _blocks(
    mask: Tensor, before: Tensor, rows: int, columns: int
) -> Iterator[tuple[Tensor, Tensor]]:
    for above, there in zip(mask.split(rows), before.split(rows), strict=True):
        yield from zip(above.split(columns, dim=1), there.split(columns, dim=1), strict=True)
