"""Straight-through pruning: the network computes with masked weights, the dense ones learn.

The optimizer keeps all weights. Forward and backward see weight * mask, and the gradient of the
product is taken for that of the weight itself, so that a pruned weight goes on moving and comes
back when it has grown among the largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def masked_weights(
    parameters: Mapping[str, nn.Parameter], masks: Mapping[str, Tensor]
) -> Iterator[None]:
    """Inside, the parameters hold weight * mask; outside the dense weights are back, untouched.

    Backward belongs inside too: it multiplies by the weights that the forward pass used.
    """
    dense = {name: parameters[name].data for name in masks}
    try:
        for name, mask in masks.items():
            parameters[name].data = dense[name] * mask
        yield
    finally:
        for name, weight in dense.items():
            parameters[name].data = weight
