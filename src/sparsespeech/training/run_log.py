"""What a run writes while it goes: ``log.jsonl``, TensorBoard, the progress bar."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sparsespeech import atomic_file
from sparsespeech.errors import MissingDependencyError
from sparsespeech.training.incident import Incident
from sparsespeech.training.log_file import read_log


class RunLog:
    """``log.jsonl`` in the run folder, TensorBoard if asked for, and the progress line."""

    def __init__(
        self,
        run: Path,
        first: int,
        *,
        enabled: bool,
        tensorboard: bool,
        console: Console | None = None,
    ) -> None:
        """Entries after step ``first``, of a session that was killed, are dropped.

        :meth:`report` speaks on ``console``, stderr by default.
        """
        self._console = console or Console(file=sys.stderr)
        self._path = run / "log.jsonl"
        self._enabled = enabled
        self._latest: dict[str, float] = {}
        self._writer = _tensorboard_writer(run, first) if tensorboard and enabled else None
        if enabled and self._path.is_file():
            rows = read_log(self._path) if first > 0 else []
            lines = [json.dumps(row) + "\n" for row in rows if row["step"] <= first]
            atomic_file.write_text(self._path, "".join(lines))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Append one line and remember the figures for :meth:`line`.

        Figures that are not finite are left out: JSON has no such numbers.
        """
        finite = {key: value for key, value in figures.items() if math.isfinite(value)}
        self._latest.update(finite)
        self._append(step, {key: round(value, 6) for key, value in finite.items()})
        if self._writer is not None:
            for key, value in finite.items():
                self._writer.add_scalar(key, value, step)

    def report(self, step: int, incident: Incident) -> None:
        """Append one line about something that went wrong, and say it on the console."""
        self._append(step, incident.record)
        if self._enabled:
            incident.say(self._console, step)

    def mask_update(self, step: int, sparsity: float, changed: int) -> None:
        """Append one line: sparsity after a mask update and number of mask entries it changed."""
        update = {"sparsity": round(sparsity, 6), "changed": changed}
        self._append(step, {"mask_update": update})

    def _append(self, step: int, record: Mapping[str, Any]) -> None:
        if self._enabled:
            line = {"step": step, "time": round(time.time(), 2), **record}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Write out what TensorBoard has not been given yet."""
        if self._writer is not None:
            self._writer.close()

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
    """A bar on stderr with the figures of :meth:`RunLog.line` and the time left.

    It is shown if ``visible`` and stderr is a terminal; what its console prints is always seen.
    """
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    console = Console(file=sys.stderr)
    shown = visible and console.is_terminal  # elsewhere its end would be an empty line
    with Progress(*columns, console=console, disable=not shown, transient=True) as progress:
        yield progress


def _tensorboard_writer(run: Path, first: int) -> Any:
    """What shows nothing that an earlier session wrote after step ``first``."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingDependencyError(
            "TensorBoard logs need: pip install 'sparsespeech[tensorboard]'"
        ) from None
    return SummaryWriter(str(run / "tensorboard"), purge_step=first + 1 if first > 0 else 0)
