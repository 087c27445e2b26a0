"""The stage-by-stage timing table: audio, features, each layer, softmax, decoding, end to end.

Its rows are the columns of the end-to-end table of the DeepSpeech2 accelerator paper.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from sparsespeech.recogniser import END_TO_END, StageTime


def add_up(timings: Iterable[tuple[StageTime, ...]]) -> tuple[StageTime, ...]:
    """One timing for several recordings: seconds added stage by stage, end to end last."""
    seconds: dict[str, float] = {}
    for timing in timings:
        for entry in timing:
            seconds[entry.stage] = seconds.get(entry.stage, 0.0) + entry.seconds
    whole = seconds.pop(END_TO_END, 0.0)
    stages = [StageTime(stage, total) for stage, total in seconds.items()]
    return (*stages, StageTime(END_TO_END, whole))


def stage_table(timing: tuple[StageTime, ...], duration_s: float) -> Table:
    """Table of ``timing``, which took place for ``duration_s`` seconds of audio."""
    table = Table(title=f"Stages for {duration_s:.2f} s of audio")
    table.add_column("stage")
    for heading in ("ms", "ms per s of audio", "share"):
        table.add_column(heading, justify="right")
    whole = timing[-1].seconds
    for entry in timing:
        last = entry.stage == END_TO_END
        table.add_row(
            entry.stage,
            f"{entry.seconds * 1000:.2f}",
            f"{entry.seconds * 1000 / duration_s:.2f}" if duration_s else "-",
            f"{100 * entry.seconds / whole:.1f} %" if whole else "-",
            style="bold" if last else None,
        )
    return table
