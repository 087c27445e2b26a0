"""The driver: one program on an accelerator, the layers behind it on the host.

Axes: T frames, C inputs of one window (494), O outputs of the last layer on the accelerator,
V labels with the blank. Windows and outputs are uint8, logits int64 (rule R9).

The driver knows a device by what its host can do: push frames, read outputs, read the counters.
The simulator is such a device, and so is any RTL of the accelerator.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.backend import Executor, Threads, default_backend, load_backend
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import check_same_config, load_program
from sparsespeech.errors import BackendError, SimulationError
from sparsespeech.graph import Graph
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.simulator.machine import Run

Frames = NDArray[np.uint8]
Logits = NDArray[np.int64]


class Device(Protocol):
    """An accelerator with a program, as its host sees it."""

    def reset(self) -> None:
        """Back to cycle 0; what was pushed and not read is dropped."""
        ...

    def push(self, wave: Sequence[Frames]) -> None:
        """Send the frames uint8[T, C] of utterances that are in flight together."""
        ...

    def read(self) -> list[Frames]:
        """Outputs uint8[T, O] of each utterance of the oldest wave that was not read."""
        ...

    def counters(self) -> Run:
        """Cycles of everything that was pushed since the reset."""
        ...


_DEVICES = {"simulator": ("sparsespeech.simulator.simulator", "Simulator")}


def device_names() -> tuple[str, ...]:
    """Names that :class:`Accelerator` takes."""
    return tuple(_DEVICES)


@dataclass(frozen=True, eq=False)
class AcceleratorRun:
    """What came back, one entry an utterance in the order given, and when."""

    outputs: tuple[Frames, ...]  # uint8[T, O]
    logits: tuple[Logits, ...]  # int64[T, V]
    timing: Run

    @property
    def latency_cycles(self) -> tuple[int, ...]:
        """From the first flit of an utterance to its last activation at the host."""
        return tuple(cycles for wave in self.timing.latencies for cycles in wave)

    @property
    def latency_s(self) -> tuple[float, ...]:
        """The same in seconds, at the frequency of the configuration."""
        return tuple(map(self.timing.program.config.seconds, self.latency_cycles))


class Accelerator:
    """One program, loaded into one device."""

    def __init__(
        self,
        program: Program | str | Path,
        *,
        config: AcceleratorConfig | None = None,
        backend: str = "simulator",
        host_backend: str | None = None,
        threads: Threads = "auto",
    ) -> None:
        """Load ``program``, or the program file of that path.

        With ``config``, the accelerator one has, a program for any other configuration is refused.
        ``host_backend`` runs the layers that are not on the accelerator; None: "cpu", or
        "reference" where the native engine was not built. Raises ProgramFileError or BackendError.
        """
        if not isinstance(program, Program):
            program = load_program(Path(program), config)
        elif config is not None:
            check_same_config(program.config, config)
        self.program = program
        self.device = load_device(backend, self.program)
        self.host = host_executor(self.program, host_backend, threads)

    def run(
        self,
        features: Frames | Sequence[Frames],
        *,
        in_flight: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> AcceleratorRun:
        """Run one utterance, or several of them, from cycle 0 on.

        ``features``: feature windows uint8[T, C] of an utterance, or a list of such; ``in_flight``
        so many are interleaved frame by frame; ``progress`` is told how many are done. Raises
        InputWindowsError, and SimulationError for no utterance, one without frames, or more than
        the accelerator holds.
        """
        utterances = [features] if isinstance(features, np.ndarray) else list(features)
        if not utterances:
            raise SimulationError("no utterance was given; expected at least one")
        if in_flight < 1:
            raise SimulationError(f"{in_flight} utterances in flight; expected at least 1")
        self.device.reset()
        waves = range(0, len(utterances), in_flight)
        for first in waves:
            self.device.push(utterances[first : first + in_flight])
            if progress is not None:
                progress(min(first + in_flight, len(utterances)))
        outputs = tuple(part for _ in waves for part in self.device.read())
        logits = tuple(self.host.run(part) for part in outputs)
        return AcceleratorRun(outputs, logits, self.device.counters())


def load_device(name: str, program: Program) -> Device:
    """The device called ``name`` with ``program``; its module is imported by this call."""
    if name not in _DEVICES:
        raise BackendError(
            f"accelerator {name!r} does not exist in this version; available: {', '.join(_DEVICES)}"
        )
    module, kind = _DEVICES[name]
    return cast(Device, getattr(importlib.import_module(module), kind)(program))


def host_executor(
    program: Program, backend: str | None = None, threads: Threads = "auto"
) -> Executor:
    """An executor of the layers that stay on the host: uint8[T, O] to logits int64[T, V]."""
    name = default_backend() if backend is None else backend
    if name in _DEVICES:
        raise BackendError(
            f"the layers on the host cannot run on {name!r}; choose cpu or reference"
        )
    return load_backend(name)(host_model(program), threads=threads)


def host_model(program: Program) -> IntegerModel:
    """The model whose inputs are what the accelerator sends: layers 5 and 6 of DeepSpeech."""
    model = program.model

    def stays(layer: Any) -> bool:
        return layer.name not in program.accelerated

    return replace(
        model,
        graph=Graph(tuple(filter(stays, model.graph.layers))),
        layers=tuple(filter(stays, model.layers)),
    )
