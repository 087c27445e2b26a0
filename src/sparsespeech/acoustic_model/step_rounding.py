"""Rounding inside the loop over time: what fixed-point retraining does to h, c and the gates.

A grid is the set of values that a fixed-point number can take. Rounding is half up and saturates,
as rules R4, R5 and R7 of the integer arithmetic; gradients pass straight through.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparsespeech.graph import CELL_LIMIT

_OUTPUT_LIMIT = 1.0  # |o tanh(c)| is below it


@dataclass(frozen=True)
class Grid:
    """The multiples of ``step`` from ``low * step`` to ``high * step``."""

    step: float
    low: int
    high: int

    def round_(self, value: Tensor) -> Tensor:
        """``value`` of any shape rounded in place, half up, and saturated."""
        return self.saturate_(self.round_freely_(value))

    def round_freely_(self, value: Tensor) -> Tensor:
        """As :meth:`round_`, without saturation."""
        return value.mul_(1.0 / self.step).add_(0.5).floor_().mul_(self.step)

    def saturate_(self, value: Tensor) -> Tensor:
        """``value`` clamped in place to the ends of the grid."""
        return value.clamp_(self.low * self.step, self.high * self.step)

    def holds(self, value: Tensor) -> Tensor:
        """Bool of the shape of ``value``: it is rounded to a multiple on the grid."""
        steps = value.mul(1.0 / self.step).add_(0.5).floor_()
        return (steps >= self.low) & (steps <= self.high)

    def ends(self, value: Tensor) -> Tensor:
        """Bool of the shape of ``value``, which lies on the grid: it may have been saturated."""
        return (value <= self.low * self.step) | (value >= self.high * self.step)


@dataclass(frozen=True)
class StepRounding:
    """Step sizes inside the loop over time; None: that value stays as it is.

    ``hidden`` rounds o tanh(c), before the projection where there is one: 1/127 (R8), or 1/32768
    in wide mode (R10). ``cell`` and ``gates`` are 1/2048 in Q4.11 (R5, R7); the input part of the
    gates, their recurrent part and each peephole term are rounded on their own, then the sum is
    saturated. ``projected`` is the grid of a projected output (R2: its own scale and zero point).
    """

    hidden: float | None = None
    cell: float | None = None
    gates: float | None = None
    projected: Grid | None = None

    @property
    def hidden_grid(self) -> Grid | None:
        """[-128, 127] steps for 1/127, an int16 for 1/32768."""
        return _grid(self.hidden, _OUTPUT_LIMIT)

    @property
    def cell_grid(self) -> Grid | None:
        """Q4.11, an int16, for 1/2048."""
        return _grid(self.cell, CELL_LIMIT)

    @property
    def gate_grid(self) -> Grid | None:
        """Q4.11, an int16, for 1/2048."""
        return _grid(self.gates, CELL_LIMIT)


def _grid(step: float | None, limit: float) -> Grid | None:
    """Two's complement with as few bits as reach ``limit``; raises ValueError for a bad step."""
    if step is None:
        return None
    if not 0.0 < step <= limit:
        raise ValueError(f"a step of rounding is above 0 and at most {limit:g}, got {step!r}")
    steps = round(limit / step)
    count = 1 << (steps - 1).bit_length()
    return Grid(step, -count, count - 1)
