"""Where the time of a run goes: layers, and the shares of the machine's limits.

Axes: T frames.
"""

from __future__ import annotations

import statistics

from sparsespeech.benchmarks.engine import Engine, Logits, Windows, check_equal
from sparsespeech.benchmarks.limits import Limits, measure_limits
from sparsespeech.benchmarks.measurement import milliseconds
from sparsespeech.benchmarks.result import Row
from sparsespeech.benchmarks.work import work_of, work_row


def layer_rows(engine: Engine, windows: Windows, expected: Logits, runs: int) -> list[Row]:
    """Median time of each layer inside whole runs, each compared with ``expected``."""
    times: dict[str, list[float]] = {}
    for _ in range(runs):
        logits, layers = engine.run_timed(windows)
        check_equal("a run with a clock in it", logits, expected)
        for name, seconds in layers:
            times.setdefault(name, []).append(seconds)
    medians = {name: statistics.median(values) for name, values in times.items()}
    whole = sum(medians.values())
    return [
        {"layer": name, "median_ms": milliseconds(seconds), "share": seconds / whole}
        for name, seconds in medians.items()
    ]


def engine_limits(engine: Engine, working_set_bytes: int) -> Limits | None:
    """The limits of the engine's instruction set and threads; None without native code."""
    return measure_limits(engine.instruction_set, engine.threads, working_set_bytes)


def limit_row(
    engine: Engine, frames: int, seconds: float, limits: Limits | None, *, batch: int = 1
) -> Row:
    """Products, bytes and shares of the limits of a run that took ``seconds``."""
    row = work_row(work_of(engine, frames, batch=batch), seconds, limits)
    return row | {"packed_mb": engine.packed_bytes / 1e6}
