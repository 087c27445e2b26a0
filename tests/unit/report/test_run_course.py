"""The log of a run becomes series over the steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.errors import CheckpointError
from sparsespeech.report.loss_curves import loss_curves, smoothed
from sparsespeech.report.run_course import Series, read_course
from sparsespeech.training.run_log import RunLog

ROWS: list[dict[str, Any]] = [
    {"step": 0, "utterances": 10},
    {"step": 10, "loss": 3.0, "sparsity": 0.0},
    {"step": 15, "mask_update": {"sparsity": 0.5, "changed": 1000}},
    {"step": 20, "loss": 2.0, "sparsity": 0.5},
    {"step": 20, "development_wer": 80.0, "development_loss": 1.5},
    {"step": 25, "mask_update": {"sparsity": 0.9, "changed": 500}},
    {"step": 30, "loss": 1.0, "sparsity": 0.9},
    {"step": 40, "loss": float("nan"), "sparsity": 0.9},
]


def write_log(run: Path, rows: list[dict[str, Any]], tail: str = "") -> Path:
    run.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (run / "log.jsonl").write_text(text + tail)
    return run


def points(series: Series) -> list[tuple[float, float]]:
    return list(zip(series.steps.tolist(), series.values.tolist(), strict=True))


def test_series_hold_what_the_log_says(tmp_path: Path) -> None:
    course = read_course(write_log(tmp_path, ROWS))
    assert points(course.loss) == [(10, 3), (20, 2), (30, 1)]  # NaN is no number
    assert points(course.development_wer) == [(20, 80)]
    assert points(course.development_loss) == [(20, 1.5)]
    assert points(course.changed) == [(15, 1000), (25, 500)]
    assert points(course.sparsity) == [
        (10, 0), (15, 0.5), (20, 0.5), (25, 0.9), (30, 0.9), (40, 0.9),
    ]  # fmt: skip
    assert course.ramp == (10, 25)


def test_what_training_writes_is_read(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 0, enabled=True, tensorboard=False)
    log.write(5, {"loss": 1.25, "sparsity": 0.0})
    log.mask_update(6, 0.25, 321)
    log.write(7, {"development_wer": 33.0, "development_loss": 0.75})
    course = read_course(tmp_path)
    assert points(course.loss) == [(5, 1.25)]
    assert points(course.changed) == [(6, 321)]
    assert points(course.development_loss) == [(7, 0.75)]
    assert course.ramp == (5, 6)


def test_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    course = read_course(write_log(tmp_path, ROWS[:2], '{"step": 20, "lo'))
    assert points(course.loss) == [(10, 3)]


def test_dense_run_has_no_ramp(tmp_path: Path) -> None:
    course = read_course(write_log(tmp_path, ROWS[:2]))
    assert course.ramp is None
    assert len(course.development_loss) == 0


@pytest.mark.parametrize("tail", ["[1]\n", '{"loss": 1}\n', '{"step": "x"}\n', "no json\n"])
def test_foreign_file_is_refused(tmp_path: Path, tail: str) -> None:
    with pytest.raises(CheckpointError, match=r"log\.jsonl"):
        read_course(write_log(tmp_path, ROWS, tail))


def test_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"log\.jsonl"):
        read_course(tmp_path)


def test_median_ignores_one_hard_batch() -> None:
    values = np.ones(200)
    values[100] = 1000.0
    assert smoothed(Series(np.arange(200.0), values)).values.max() == 1.0


def test_caption_says_what_is_drawn(tmp_path: Path) -> None:
    full = loss_curves(read_course(write_log(tmp_path, ROWS)), "<b>name</b>")
    assert "Shaded: the ramp" in full
    assert "did not log a validation loss" not in full
    assert "<b>" not in full
    bare = loss_curves(read_course(write_log(tmp_path, ROWS[:2])), "name")
    assert "did not log a validation loss" in bare
    assert "Shaded" not in bare


def test_empty_log_has_a_picture(tmp_path: Path) -> None:
    assert "<img" in loss_curves(read_course(write_log(tmp_path, [])), "name")
