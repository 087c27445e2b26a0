"""Stages of iterative pruning and the rewound learning rate."""

from __future__ import annotations

import pytest

from sparsespeech.pruning.iterative import StageSchedule, rewound_position
from sparsespeech.pruning.settings import Stage

STAGES = [Stage(sparsity=s, steps=n) for s, n in ((0.5, 100), (0.75, 50), (0.9, 30))]


def test_each_stage_prunes_once_and_the_last_one_lasts() -> None:
    schedule = StageSchedule.build(STAGES, first=20, steps=400, rewind_to=0.0)
    assert schedule.starts == (20, 120, 170)
    assert schedule.end == 170
    assert [step for step in range(400) if schedule.updates_masks(step, 0)] == [20, 120, 170]
    courses = [schedule.sparsity(step, 0, 0.9) for step in (19, 20, 119, 120, 169, 170, 399)]
    assert courses == pytest.approx([0.0, 0.5, 0.5, 0.75, 0.75, 0.9, 0.9])
    assert schedule.sparsity(20, 0, goal=0.45) == pytest.approx(0.25)


def test_every_stage_runs_through_the_schedule_behind_the_rewind_point() -> None:
    def position(step: int) -> float:
        return rewound_position(step, starts=(20, 120), steps=400, rewind_to=0.25)

    assert position(0) == 0.0
    assert position(10) == pytest.approx(200.0)  # dense training has a whole schedule
    assert position(20) == pytest.approx(100.0)
    assert position(70) == pytest.approx(250.0)
    assert position(119) == pytest.approx(400 * (0.25 + 0.75 * 0.99))
    assert position(120) == pytest.approx(100.0)
    assert position(260) == pytest.approx(250.0)
    assert all(0 <= position(step) < 400 for step in range(400))
