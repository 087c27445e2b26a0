"""What a run's log says: losses, word error rates, sparsity and changes of the masks.

The log is read without torch, so that a report can be made where nothing is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.training.log_file import is_number, read_log


@dataclass(frozen=True, eq=False)
class Series:
    """Values of one key of the log over the steps, both float64[n]."""

    steps: NDArray[np.float64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of points."""
        return int(self.steps.size)


@dataclass(frozen=True, eq=False)
class RunCourse:
    """What the pictures need of a run's log; a key that the log lacks is an empty series."""

    loss: Series
    development_loss: Series
    development_wer: Series  # per cent
    sparsity: Series  # 0 to 1
    changed: Series  # mask entries that an update of the masks changed

    @property
    def ramp(self) -> tuple[float, float] | None:
        """First and last step at which the sparsity grew; None for a run that does not prune."""
        grew = np.flatnonzero(np.diff(self.sparsity.values) > 0)
        if grew.size == 0:
            return None
        return float(self.sparsity.steps[grew[0]]), float(self.sparsity.steps[grew[-1] + 1])


def read_course(run: Path) -> RunCourse:
    """The course of the run in the folder ``run``; raises CheckpointError."""
    rows = read_log(run / "log.jsonl")
    updates = [
        {"step": row["step"], **row["mask_update"]}
        for row in rows
        if isinstance(row.get("mask_update"), dict)
    ]
    sparsity = logged_series([*rows, *updates], "sparsity")
    order = np.argsort(sparsity.steps, kind="stable")
    return RunCourse(
        logged_series(rows, "loss"),
        logged_series(rows, "development_loss"),
        logged_series(rows, "development_wer"),
        Series(sparsity.steps[order], sparsity.values[order]),
        logged_series(updates, "changed"),
    )


def logged_series(rows: Sequence[dict[str, Any]], key: str) -> Series:
    """The numbers that the log's ``rows`` hold under ``key``; rows without one are left out."""
    found = [(row["step"], row[key]) for row in rows if is_number(row.get(key))]
    points = np.array(found, dtype=np.float64).reshape(-1, 2)
    return Series(points[:, 0], points[:, 1])
