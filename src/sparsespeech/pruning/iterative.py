"""Iterative prune and fine-tune, the flow of the MAU keynote.

Each stage prunes to its sparsity at once and then trains on. The learning rate is rewound: every
stage runs through the schedule again, from the share ``rewind_to`` of it on, so that the network
can move after each loss of weights [Renda et al. 2020].
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from sparsespeech.pruning.settings import Stage


@dataclass(frozen=True)
class StageSchedule:
    """``sparsities`` from the steps ``starts`` on, both rising, in a run of ``steps``.

    The learning rate of each stage begins at the share ``rewind_to`` of its schedule.
    """

    starts: tuple[int, ...]
    sparsities: tuple[float, ...]
    steps: int
    rewind_to: float

    @classmethod
    def build(
        cls, stages: Sequence[Stage], first: int, steps: int, rewind_to: float
    ) -> StageSchedule:
        """Stages one after the other from step ``first``; the last one lasts to the end."""
        lengths = [stage.steps for stage in stages[:-1]]
        starts = tuple(accumulate(lengths, initial=first))
        return cls(starts, tuple(stage.sparsity for stage in stages), steps, rewind_to)

    @property
    def end(self) -> int:
        """First step of the last stage: from it on the final sparsity holds."""
        return self.starts[-1]

    def updates_masks(self, step: int, epoch: int) -> bool:
        """True at the first step of each stage."""
        return step in self.starts

    def sparsity(self, step: int, epoch: int, goal: float) -> float:
        """Sparsity at ``step``; matrices with another goal follow in proportion."""
        stage = bisect_right(self.starts, step) - 1
        return 0.0 if stage < 0 else self.sparsities[stage] / self.sparsities[-1] * goal

    def position(self, step: int) -> float:
        """Place in the learning-rate schedule at ``step``."""
        return rewound_position(step, self.starts, self.steps, self.rewind_to)


def rewound_position(step: int, starts: Sequence[int], steps: int, rewind_to: float) -> float:
    """Place in a learning-rate schedule of ``steps`` that training has at ``step``.

    The steps before the first of ``starts`` run through the whole schedule; each stage, and the
    last one until the end of the run, runs through its part behind the share ``rewind_to``.
    """
    stage = bisect_right(starts, step) - 1
    first = starts[stage] if stage >= 0 else 0
    after = starts[stage + 1] if stage + 1 < len(starts) else steps
    begin = rewind_to if stage >= 0 else 0.0
    return steps * (begin + (1.0 - begin) * (step - first) / (after - first))
