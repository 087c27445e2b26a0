"""What a peer is once it has loaded its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class PreparedPeer:
    """``run`` computes everything once and returns what it has; only ``run`` is timed.

    ``finish`` turns that into logits float32[T, B, V] (or [T, V] where B is 1) to be compared.
    """

    run: Callable[[], NDArray[Any]]
    notes: dict[str, str] = field(default_factory=dict)  # choices that the peer made itself
    finish: Callable[[NDArray[Any]], NDArray[Any]] = lambda outputs: outputs
