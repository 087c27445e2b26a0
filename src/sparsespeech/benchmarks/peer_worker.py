"""The process of one peer: prepare it, then run it as often as the benchmark asks.

Arguments: module of the peer, precision, threads, folder, name, libraries. The folder holds
``network.npz`` and ``windows.npy``, or ``training.json`` where a training step is timed; the
outputs of the first run are written beside them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from sparsespeech.benchmarks.float_network import load_network
from sparsespeech.benchmarks.peer import PreparedPeer

TRAINING_TASK = "training.json"
_PR_SET_PDEATHSIG = 1  # of prctl(2)


def main(arguments: list[str]) -> None:
    """Serve one benchmark until its end of the pipe is closed."""
    _end_with_parent()
    module, precision, threads, folder, name, *libraries = arguments
    answers = _claim_stdout()
    prepare = importlib.import_module(module).prepare
    peer: PreparedPeer = prepare(*_task(Path(folder)), int(threads), precision)
    gc.collect()
    _forget_peak()
    start = time.perf_counter()
    outputs = peer.run()
    first_s = time.perf_counter() - start
    peak_mib = _peak_mib()
    np.save(Path(folder, f"{name}.npy"), peer.finish(outputs), allow_pickle=False)
    gc.collect()
    gc.freeze()
    _send(
        answers,
        {
            "versions": _versions(libraries),
            "notes": peer.notes,
            "resident_mib": _resident_mib(),
            "first_s": first_s,
            "peak_mib": peak_mib,
        },
    )
    for line in sys.stdin:
        asked = json.loads(line)
        _send(answers, {"seconds": _time_runs(peer, int(asked["runs"]), warm=bool(asked["warm"]))})


def _task(folder: Path) -> tuple[Any, ...]:
    """What the peer computes: a training task, or a network and its windows."""
    training = folder / TRAINING_TASK
    if training.exists():
        return (json.loads(training.read_text(encoding="utf-8")),)
    windows = np.load(folder / "windows.npy", allow_pickle=False)
    return load_network(folder / "network.npz"), windows


def _time_runs(peer: PreparedPeer, count: int, *, warm: bool) -> list[float]:
    if warm:
        peer.run()
    times = []
    gc.disable()
    for _ in range(count):
        start = time.perf_counter()
        peer.run()
        times.append(time.perf_counter() - start)
    gc.enable()
    return times


def _end_with_parent() -> None:
    """A stopped process would outlive a benchmark that is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _forget_peak() -> None:
    """The peak of memory counts from here, where the kernel lets a process ask for that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mib() -> float:
    """Most memory that the process had resident since its start or :func:`_forget_peak`."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    kibibytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes) / 1024


def _claim_stdout() -> TextIO:
    """The pipe to the benchmark; whatever libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _send(answers: TextIO, answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _versions(libraries: list[str]) -> dict[str, str]:
    found = {}
    for library in libraries:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
