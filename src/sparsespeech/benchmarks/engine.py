"""The engine under test, by interface: benchmarks and their tests take any maker of engines.

Axes: T frames, t frames of a chunk, W inputs of one window, V labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import BackendError, BenchmarkError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel

Windows = NDArray[np.uint8]
Logits = NDArray[np.int64]


class Engine(Protocol):
    """An executor of one model, as ``cpu_engine.engine.CpuExecutor``."""

    @property
    def threads(self) -> int:
        """Threads that it uses."""
        ...

    @property
    def instruction_set(self) -> str:
        """Name of its kernels: scalar, avx2, avx512 or amx."""
        ...

    @property
    def packed_bytes(self) -> int:
        """Bytes of all packed weights."""
        ...

    @property
    def matrices(self) -> Sequence[Mapping[str, Any]]:
        """One entry a matrix: name, form, rows, columns, nonzeros, bytes, slots_per_nonzero."""
        ...

    def run(self, windows: Windows) -> Logits:
        """Logits int64[T, V] of windows uint8[T, W]."""
        ...

    def run_timed(self, windows: Windows) -> tuple[Logits, list[tuple[str, float]]]:
        """The same, and the seconds of each layer."""
        ...

    def run_batch(self, windows: Sequence[Windows]) -> list[Logits]:
        """Logits of several utterances."""
        ...

    def stream(self) -> Any:
        """A new session of a unidirectional model."""
        ...

    def step_sessions(self, sessions: Sequence[Any], windows: Sequence[Windows]) -> list[Logits]:
        """Logits int64[t, V] of one chunk uint8[t, W] of each session."""
        ...


class EngineMaker(Protocol):
    """Makes engines; ``instruction_set`` None means the best of this processor."""

    def __call__(
        self,
        model: IntegerModel,
        *,
        threads: int,
        instruction_set: str | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Engine:
        """An engine for ``model``; raises BackendError where it cannot run here."""
        ...


def cpu_engine() -> EngineMaker:
    """The CPU engine; raises BackendError if it is not part of this installation."""
    try:
        from sparsespeech.cpu_engine.engine import CpuExecutor
    except ImportError as error:
        raise BackendError(
            f"the benchmarks measure the CPU engine, which cannot be used here: {error}; "
            "install a C++20 compiler and then the package again"
        ) from None
    return cast(EngineMaker, CpuExecutor)


def reference_logits(model: IntegerModel, windows: Windows) -> Logits:
    """Logits int64[T, V] of the numpy reference, that every run must give."""
    return ReferenceExecutor(model).run(windows)


def check_equal(what: str, got: Logits, expected: Logits) -> None:
    """Raise BenchmarkError unless the logits of a timed run are those of the reference."""
    if got.shape != expected.shape:
        raise BenchmarkError(
            f"{what}: logits have shape {got.shape}, the reference gives {expected.shape}; "
            "no figure is reported"
        )
    wrong = int(np.count_nonzero(got != expected))
    if wrong:
        raise BenchmarkError(
            f"{what}: {wrong} of {expected.size} logits differ from the reference's; no figure is "
            "reported; please report this with the output of `sparsespeech doctor`"
        )
