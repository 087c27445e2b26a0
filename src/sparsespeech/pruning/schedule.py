"""Sparsity as a function of the training step.

The cubic ramp of gradual magnitude pruning [Zhu & Gupta 2017], used by Algorithm 1 of the MAU
paper: many weights go early, when there are many to spare, and few at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SparsitySchedule:
    """Ramp from ``initial`` at ``start`` to ``final`` at ``end`` (steps), then constant.

    ``cubic``: s(u) = final + (initial - final) (1 - u)^3 with u in [0, 1] along the ramp;
    ``linear``: the straight line. Masks change every ``interval`` steps inside the ramp.
    """

    start: int
    end: int
    interval: int
    final: float
    initial: float = 0.0
    shape: Literal["cubic", "linear"] = "cubic"

    def sparsity(self, step: int, final: float | None = None) -> float:
        """Target sparsity at ``step``; ``final`` replaces the end value for one matrix."""
        goal = self.final if final is None else final
        if step < self.start:
            return 0.0
        progress = min(1.0, (step - self.start) / max(1, self.end - self.start))
        remaining = (1 - progress) ** (3 if self.shape == "cubic" else 1)
        return goal + (min(self.initial, goal) - goal) * remaining

    def updates_masks(self, step: int) -> bool:
        """True at the steps where masks are computed anew; the last one is ``end``."""
        if not self.start <= step <= self.end:
            return False
        return step == self.end or (step - self.start) % self.interval == 0
