"""The options of every command that runs a model: which executor, on how many threads."""

from __future__ import annotations

from typing import Annotated

import typer

from sparsespeech.backend import Threads
from sparsespeech.cpu_engine.threads import LARGEST_THREADS, resolve_threads

BackendOption = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|reference|simulator",
        help="Executor; default cpu, or reference (numpy: slow, same text) where the native engine "
        "was not built. simulator: an accelerator, same text.",
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(
        help="Accelerator that the simulator is, see `compile --help`; default mau-stratix10, or "
        "that of a compiled program given as the model.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=LARGEST_THREADS,
        help="Threads of the cpu executor in each process; default: the processors that may be "
        "used, one for a small model.",
    ),
]
JobsOption = Annotated[int, typer.Option(min=1, help="Processes that work side by side.")]


def threads_of_process(threads: int | None, jobs: int = 1) -> Threads:
    """The threads of each of ``jobs`` processes: ``threads``, or a share of what may be used."""
    if threads is not None:
        return threads
    return "auto" if jobs == 1 else max(1, resolve_threads("auto") // jobs)
