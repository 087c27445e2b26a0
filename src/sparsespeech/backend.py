"""The executors of an integer model by name, imported when they are asked for.

Axes: T frames, t frames of a chunk, W inputs of one window (494), V labels with the blank.
Windows are uint8, or int16 for a model of wide mode (rule R10).

Every executor gives the same integers for the same windows (``integer_arithmetic/spec.md``), so a
backend is a choice of speed and place, never of result.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import BackendError
from sparsespeech.model_file.model import IntegerModel

Threads = int | Literal["auto"]


class Session(Protocol):
    """One utterance of a unidirectional model, given in chunks of any size."""

    def push(self, windows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Logits int64[t, V] of the next windows [t, W]; t may be 0."""
        ...

    def finish(self) -> None:
        """End the utterance; what comes after is a SessionFinishedError."""
        ...


class Executor(Protocol):
    """Runs one integer model. Utterances do not influence each other (rule R12)."""

    def run(self, windows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Logits int64[T, V] (rule R9) of the windows [T, W]; T may be 0."""
        ...

    def run_timed(
        self, windows: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.int64], list[tuple[str, float]]]:
        """The same logits, and the seconds that each layer took, by name in layer order."""
        ...

    def stream(self) -> Session:
        """A new session; raises UnsupportedLayerError for a model that reads backwards."""
        ...


class Batcher(Protocol):
    """Steps the sessions of many streams together, as their chunks come in; a context manager."""

    def session(self) -> Session:
        """A new session; its ``push`` returns when the step with its chunk is done."""
        ...

    def close(self) -> None:
        """Compute what waits, then stop."""
        ...

    def __enter__(self) -> Batcher: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Backend(Protocol):
    """Makes executors; raises UnsupportedLayerError for a model that it cannot run."""

    def __call__(self, model: IntegerModel, *, threads: Threads = "auto") -> Executor:
        """An executor of ``model`` that uses at most ``threads`` ("auto": all it may use)."""
        ...


@dataclass(frozen=True)
class _Place:
    """Where an executor is, and the compiled module that it needs, if any."""

    module: str
    executor: str
    compiled: str | None = None


_BACKENDS = {
    "cpu": _Place("sparsespeech.cpu_engine.engine", "CpuExecutor", "sparsespeech._native"),
    "reference": _Place("sparsespeech.integer_arithmetic.reference_model", "ReferenceExecutor"),
    "simulator": _Place("sparsespeech.accelerator_executor", "SimulatorExecutor"),
}


def backend_names() -> tuple[str, ...]:
    """Names that :func:`load_backend` takes."""
    return tuple(_BACKENDS)


def is_built(name: str) -> bool:
    """Whether the compiled part of a backend was built, if it has one."""
    compiled = _BACKENDS[name].compiled
    return compiled is None or importlib.util.find_spec(compiled) is not None


def default_backend() -> str:
    """``cpu``, or ``reference`` where the native engine was not built."""
    return "cpu" if is_built("cpu") else "reference"


def load_backend(name: str) -> Backend:
    """The backend called ``name``; its module is imported by this call.

    Raises BackendError if there is no such backend, or if it cannot be used here.
    """
    if name not in _BACKENDS:
        raise BackendError(
            f"backend {name!r} does not exist in this version; available: {_usable_backends()}"
        )
    if not is_built(name):
        raise BackendError(
            f"backend {name!r} was not built, because no C++20 compiler was found when the package "
            "was installed; install a compiler and then the package again, or use one of: "
            f"{_usable_backends()}"
        )
    place = _BACKENDS[name]
    try:
        if place.compiled is not None:
            importlib.import_module(place.compiled)
        return cast(Backend, getattr(importlib.import_module(place.module), place.executor))
    except ImportError as error:
        raise BackendError(
            f"backend {name!r} cannot be used here: {error}; available: "
            f"{_usable_backends(but=name)}"
        ) from None


def _usable_backends(but: str = "") -> str:
    return ", ".join(name for name in _BACKENDS if name != but and is_built(name)) or "none"
