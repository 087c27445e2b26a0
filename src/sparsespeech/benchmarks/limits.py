"""What the processor could do at best, measured in this process beside the engine.

The native loops are described in ``native/include/sparsespeech/limits.h``. A product is one
activation times one weight, added to a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SECONDS_OF_ONE_LIMIT = 0.25


@dataclass(frozen=True)
class Limits:
    """Rates of ``threads`` threads together, each a second."""

    instruction_set: str
    threads: int
    working_set_bytes: int  # of one thread, that was read over and over
    bytes_read: float
    products: float  # all operands in registers
    picked_products: float  # each activation picked from registers by an index first

    def to_row(self) -> dict[str, Any]:
        """The rates in usual units."""
        return {
            "instruction_set": self.instruction_set,
            "threads": self.threads,
            "working_set_mb": self.working_set_bytes / 1e6,
            "read_gb_per_s": self.bytes_read / 1e9,
            "giga_products_per_s": self.products / 1e9,
            "giga_picked_products_per_s": self.picked_products / 1e9,
        }


def measure_limits(
    instruction_set: str,
    threads: int,
    working_set_bytes: int,
    *,
    seconds: float = SECONDS_OF_ONE_LIMIT,
) -> Limits | None:
    """Limits of ``threads`` threads that each read ``working_set_bytes``; None without _native."""
    try:
        from sparsespeech._native import limits
    except ImportError:
        return None
    return Limits(
        instruction_set,
        threads,
        working_set_bytes,
        limits.read_bandwidth(instruction_set, working_set_bytes, threads, seconds),
        limits.multiply_rate(instruction_set, threads, seconds),
        limits.pick_and_multiply_rate(instruction_set, threads, seconds),
    )
