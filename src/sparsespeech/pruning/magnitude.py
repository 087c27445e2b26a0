"""Which weights are the smallest: exact selection by magnitude, without sorting.

Axes: N weights of a tensor. Masks are float tensors of ones and zeros in the shape of the
weights, so that one fused multiplication applies all of them.

The bits of non-negative float32 numbers, read as integers, have the order of the numbers. Two
histograms, of the upper and of the lower 16 bits, so find the k-th smallest of any number of
weights exactly and in linear time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_HALF = 16  # bits a pass
_BUCKETS = 1 << _HALF


@dataclass(frozen=True)
class Weights:
    """Magnitudes of one tensor in a common selection.

    ``lowest`` and ``highest`` bound how many of its weights are pruned in the end; weights that
    ``mask`` has pruned count as smaller than any other.
    """

    weight: Tensor
    mask: Tensor
    lowest: int
    highest: int

    def kept(self) -> Tensor:
        """Magnitudes of the weights that the mask keeps, float32[kept]."""
        return self.weight.detach().masked_select(self.mask > 0).abs().float()

    def bounded(self, counts: Tensor) -> Tensor:
        """``counts`` within what may be pruned of this tensor."""
        return counts.clamp(min(self.lowest, self.highest), self.highest)


def smallest_counts(tensors: Sequence[Weights], total: int) -> list[int]:
    """How many weights of each tensor one common threshold prunes, ``total`` together.

    Counts stay within the bounds of each tensor, the threshold rises or falls for that, and so
    ``total`` is missed only where the bounds exclude it. At the threshold itself the first
    tensors come first.
    """
    bits = [weights.kept().view(torch.int32) for weights in tensors]
    below = [
        torch.tensor(weights.mask.numel() - kept.numel())
        for weights, kept in zip(tensors, bits, strict=True)
    ]
    upper, below = _find_bucket(tensors, [b >> _HALF for b in bits], below, total)
    inside = [b[(b >> _HALF) == upper] & (_BUCKETS - 1) for b in bits]
    lower, below = _find_bucket(tensors, inside, below, total)
    counts = [int(weights.bounded(b)) for weights, b in zip(tensors, below, strict=True)]
    left = total - sum(counts)
    for number, (weights, digits) in enumerate(zip(tensors, inside, strict=True)):
        equal = below[number] + (digits == lower).sum().cpu()
        more = max(0, min(int(weights.bounded(equal)) - counts[number], left))
        counts[number] += more
        left -= more
    return counts


def _find_bucket(
    tensors: Sequence[Weights], digits: Sequence[Tensor], below: Sequence[Tensor], total: int
) -> tuple[int, list[Tensor]]:
    """The bucket of ``digits`` that the ``total``-th smallest weight lies in.

    Also how many weights of each tensor lie below that bucket; ``below`` of them lie below all.
    """
    reached = [start + _cumulated(d) for start, d in zip(below, digits, strict=True)]
    together = torch.stack(
        [weights.bounded(r) for weights, r in zip(tensors, reached, strict=True)]
    ).sum(dim=0)
    bucket = min(int((together < total).sum()), _BUCKETS - 1)
    if bucket == 0:
        return 0, list(below)
    return bucket, [r[bucket - 1] for r in reached]


def _cumulated(digits: Tensor) -> Tensor:
    """How many of ``digits`` are at most 0, 1, ...: int64[65536]."""
    return torch.bincount(digits, minlength=_BUCKETS).cpu().cumsum(0)


def kth_smallest(magnitudes: Tensor, k: int) -> float:
    """The ``k``-th smallest (from 1) of non-negative float32[N]."""
    bits = magnitudes.view(torch.int32)
    reached = _cumulated(bits >> _HALF)
    upper = int((reached < k).sum())
    rest = k - (int(reached[upper - 1]) if upper else 0)
    inside = bits[(bits >> _HALF) == upper] & (_BUCKETS - 1)
    lower = int((_cumulated(inside) < rest).sum())
    found = torch.tensor((upper << _HALF) | lower, dtype=torch.int32)
    return float(found.view(torch.float32))


def magnitude_mask(weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:
    """Mask like ``weight`` that keeps the largest magnitudes among the weights ``mask`` kept.

    Exactly ``round(sparsity * size)`` entries are zero, or more where ``mask`` has more already:
    a pruned weight never comes back. Ties are broken by position, so the result is deterministic.
    """
    kept = mask > 0
    already = weight.numel() - int(kept.count_nonzero())
    more = round(sparsity * weight.numel()) - already
    if more <= 0:
        return mask
    magnitude = weight.detach().abs().float()
    left = magnitude.masked_select(kept) if already else magnitude.flatten()
    threshold = kth_smallest(left, more)
    gone = (kept & (magnitude < threshold)).flatten()
    equal = (kept & (magnitude == threshold)).flatten().nonzero()[:, 0]
    gone[equal[: more - int(gone.count_nonzero())]] = True
    return mask.masked_fill(gone.view_as(mask), 0.0)
