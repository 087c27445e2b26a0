"""Magnitude pruning: the smallest weights of each matrix become zero and stay zero.

Algorithm 1 of the MAU paper. Masks are float tensors of ones and zeros in the shape of the
parameter, so that one fused multiplication applies all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor


def magnitude_mask(weight: Tensor, mask: Tensor, sparsity: float) -> Tensor:
    """Mask like ``weight`` that keeps the largest magnitudes among the weights ``mask`` kept.

    Exactly ``round(sparsity * size)`` entries are zero, or more where ``mask`` has more already:
    a pruned weight never comes back. Ties are broken by position, so the result is deterministic.
    """
    zeros = round(sparsity * weight.numel())
    already = weight.numel() - int(mask.sum().item())
    if zeros <= already:
        return mask
    # Pruned weights sort below every kept one, kept weights that happen to be 0.0 included.
    magnitude = torch.where(mask > 0, weight.detach().abs(), -1.0).flatten()
    order = torch.argsort(magnitude, stable=True)
    result = torch.ones_like(magnitude)
    result[order[:zeros]] = 0.0
    return result.view_as(weight).to(mask.dtype)
