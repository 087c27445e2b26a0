"""What a run writes while it goes: ``log.jsonl``, TensorBoard, the progress bar."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sparsespeech import atomic_file
from sparsespeech.errors import MissingDependencyError


class RunLog:
    """``log.jsonl`` in the run folder, TensorBoard if asked for, and the progress line."""

    def __init__(self, run: Path, first: int, *, enabled: bool, tensorboard: bool) -> None:
        """Entries at or after step ``first`` of an interrupted session are dropped."""
        self._path = run / "log.jsonl"
        self._enabled = enabled
        self._latest: dict[str, float] = {}
        self._writer = _tensorboard_writer(run) if tensorboard and enabled else None
        if enabled and self._path.is_file():
            lines = [
                line
                for line in self._path.read_text().splitlines()
                if line and json.loads(line)["step"] <= first
            ]
            atomic_file.write_text(self._path, "".join(line + "\n" for line in lines))

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append one line and remember the figures for :meth:`line`."""
        self._latest.update(figures)
        if not self._enabled:
            return
        record = {
            "step": step,
            "time": round(time.time(), 2),
            **{key: round(value, 6) for key, value in figures.items()},
        }
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        if self._writer is not None:
            for key, value in figures.items():
                self._writer.add_scalar(key, value, step)

    def line(self) -> str:
        """Loss, WER, sparsity, speed and utilisation for the progress bar."""
        shown = {
            "loss": ".3f",
            "development_wer": ".1f",
            "sparsity": ".1%",
            "audio_hours_per_hour": ".0f",
            "flop_utilisation": ".0%",
        }
        names = {"development_wer": "WER", "audio_hours_per_hour": "h/h", "flop_utilisation": "MFU"}
        return "  ".join(
            f"{names.get(key, key)} {self._latest[key]:{form}}"
            for key, form in shown.items()
            if key in self._latest
        )


@contextmanager
def training_progress(visible: bool) -> Iterator[Progress]:
    """A bar on stderr with the figures of :meth:`RunLog.line` and the time left."""
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not visible) as progress:
        yield progress


def _tensorboard_writer(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependencyError(
            "TensorBoard logs need: pip install 'sparsespeech[tensorboard]'"
        ) from None
    return SummaryWriter(str(run / "tensorboard"))
