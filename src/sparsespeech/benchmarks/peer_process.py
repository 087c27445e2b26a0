"""A peer in a process of its own: its threads, its memory and its settings are its own.

The process is stopped by a signal except during its turn, so that no thread of it that waits by
spinning takes time from another contender. The protocol is one JSON object a line: the worker
(``peer_worker``) reports that it is ready; it is asked for ``{"runs": n, "warm": true}`` and
answers ``{"seconds": [...]}``.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import sparsespeech
from sparsespeech.errors import BenchmarkError

START_LIMIT_S = 600.0  # building and optimising the largest graph takes less than a minute
TURN_LIMIT_S = 600.0
_LAST_CHARACTERS = 400  # of a failed worker's messages


@dataclass(frozen=True)
class PeerSetup:
    """What a worker has to know; ``interpreter`` None is the one that runs now.

    ``advice`` ends the message where the worker fails.
    """

    name: str
    module: str
    precision: str
    libraries: tuple[str, ...]
    environment: Mapping[str, str]
    interpreter: Path | None = None
    advice: str = "leave it out with --peers"


class PeerProcess:
    """A :class:`.measurement.Contender`; ``folder`` holds the network and the windows."""

    def __init__(self, setup: PeerSetup, folder: Path, threads: int) -> None:
        """Start the worker and wait until it is ready; raises BenchmarkError if it fails."""
        self.name, self._advice = setup.name, setup.advice
        self._messages = folder / f"{setup.name}.log"
        packages = folder / f"{setup.name}-packages"
        packages.mkdir()
        # The interpreter may be another one: it gets this package and none beside it.
        (packages / "sparsespeech").symlink_to(Path(sparsespeech.__file__).parent)
        with self._messages.open("wb") as messages:
            try:
                self._process = subprocess.Popen(
                    [
                        str(setup.interpreter or sys.executable),
                        *("-m", "sparsespeech.benchmarks.peer_worker"),
                        *(setup.module, setup.precision, str(threads), str(folder), setup.name),
                        *setup.libraries,
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=messages,
                    env=_environment(setup, packages, threads),
                    text=True,
                )
            except OSError as error:
                raise BenchmarkError(f"peer {self.name} cannot be started: {error}") from None
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read_answers, daemon=True).start()
        try:
            ready = self._answer(START_LIMIT_S)
            self.outputs: NDArray[np.floating[Any]] = np.load(
                folder / f"{setup.name}.npy", allow_pickle=False
            )
        except BaseException:
            self.close()
            raise
        self.versions: dict[str, str] = ready["versions"]
        self.notes: dict[str, str] = ready["notes"]
        self.resident_mib: float = ready["resident_mib"]
        self.first_s: float = ready["first_s"]  # of the first run, which also prepares things
        self.peak_mib: float = ready["peak_mib"]  # most memory resident during it
        self._process.send_signal(signal.SIGSTOP)

    def time_runs(self, count: int, *, warm: bool = True) -> list[float]:
        """Seconds of each of ``count`` runs, by the worker's clock.

        One run that is not counted goes before them unless ``warm`` is False.
        """
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"runs": count, "warm": warm}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._failure("stopped") from None
        seconds = [float(value) for value in self._answer(TURN_LIMIT_S)["seconds"]]
        self._process.send_signal(signal.SIGSTOP)
        return seconds

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> PeerProcess:
        """Itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the worker."""
        self.close()

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._answers.put(line)
        except ValueError:  # closed while reading
            pass
        self._answers.put("")  # the worker has ended

    def _answer(self, limit_s: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=limit_s)
        except queue.Empty:
            raise self._failure(f"gave no answer for {limit_s:.0f} s") from None
        try:
            answer: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            raise self._failure("stopped") from None
        return answer

    def _failure(self, what: str) -> BenchmarkError:
        said = self._messages.read_text(encoding="utf-8", errors="replace")
        return BenchmarkError(
            f"peer {self.name} {what}: {said[-_LAST_CHARACTERS:].strip() or 'without a message'}; "
            f"{self._advice}"
        )


def _environment(setup: PeerSetup, packages: Path, threads: int) -> dict[str, str]:
    path = [str(packages)]
    if setup.interpreter is None:
        path += [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        **setup.environment,
    }
