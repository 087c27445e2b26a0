"""Accelerators as executors of whole models: what ``transcribe --backend simulator`` runs.

Axes: T frames, t frames of a chunk, W inputs of one window (494), V labels with the blank.

Logits only: cycles are a matter of ``simulate``, and do not change a bit of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator import host_executor
from sparsespeech.accelerator_waves import check_windows
from sparsespeech.backend import Session, Threads
from sparsespeech.compilation import DEFAULT_TARGET, compile_model
from sparsespeech.compiler.program import Program
from sparsespeech.errors import SessionFinishedError, UnsupportedLayerError
from sparsespeech.model_file.model import IntegerModel, OutputLayer
from sparsespeech.simulator.cell import UnitState
from sparsespeech.simulator.simulator import Simulator

Windows = NDArray[np.integer[Any]]
Logits = NDArray[np.int64]


class SimulatorExecutor:
    """One model on a simulated accelerator, its last layers on the host."""

    def __init__(
        self,
        model: IntegerModel,
        *,
        threads: Threads = "auto",
        target: str = DEFAULT_TARGET,
        program: Program | None = None,
    ) -> None:
        """Compile ``model`` for ``target``, or take its ``program``.

        ``threads`` are those of the host's layers. Raises CompileError for a model that does not
        fit, AcceleratorConfigError for an unknown target, and UnsupportedLayerError for layers that
        no accelerator program runs.
        """
        self._program = compile_model(model, target) if program is None else program
        self._simulator = Simulator(self._program)
        self._host = host_executor(self._program, threads=threads)
        output = model.layers[-1]
        assert isinstance(output, OutputLayer)  # an accelerator never computes the last layer
        self._labels = output.weights.shape[0]
        self._inputs = self._simulator.arithmetic.inputs

    def run(self, windows: Windows) -> Logits:
        """Logits (R9) of one utterance: uint8[T, W] to int64[T, V]; T may be 0.

        Raises InputWindowsError for other windows, and SimulationError for an utterance that the
        accelerator's memories cannot hold.
        """
        return self.run_timed(windows)[0]

    def run_timed(self, windows: Windows) -> tuple[Logits, list[tuple[str, float]]]:
        """:meth:`run`, and the seconds that simulating each layer took, in order."""
        if len(windows) == 0:
            return self._no_frames(windows)
        self._simulator.check([len(windows)])
        outputs, times = self._simulator.timed_layers(windows)
        logits, host_times = self._host.run_timed(outputs)
        return logits, times + host_times

    def stream(self) -> Session:
        """A new utterance that comes in chunks.

        Raises UnsupportedLayerError for a model that reads backwards.
        """
        graph = self._program.model.graph
        if graph.bidirectional:
            name = next(layer.name for layer in graph.layers if getattr(layer, "bidirectional", 0))
            raise UnsupportedLayerError(
                f"layer {name!r} reads the utterance backwards, so this model cannot stream; "
                "transcribe whole recordings, or take a unidirectional model"
            )
        return _SimulatorSession(self._simulator, self._host.stream(), self._labels)

    def _no_frames(self, windows: Windows) -> tuple[Logits, list[tuple[str, float]]]:
        """An utterance without frames does not reach the accelerator."""
        check_windows(windows, self._inputs)
        times = [(layer.name, 0.0) for layer in self._program.model.layers]
        return np.empty((0, self._labels), dtype=np.int64), times


class _SimulatorSession:
    """One utterance of a unidirectional model, of any length: its sequence memory is a ring."""

    def __init__(self, simulator: Simulator, host: Session, labels: int) -> None:
        self._simulator = simulator
        self._host = host
        self._labels = labels
        self._state = UnitState.first(simulator.arithmetic.units)
        self._finished = False

    def push(self, windows: Windows) -> Logits:
        """Logits int64[t, V] of the next windows [t, W]."""
        if self._finished:
            raise SessionFinishedError("windows were pushed after finish(); start a new session")
        if len(windows) == 0:
            return np.empty((0, self._labels), dtype=np.int64)
        outputs, _ = self._simulator.timed_layers(windows, self._state)
        return self._host.push(outputs)

    def finish(self) -> None:
        """End the utterance; what comes after is a SessionFinishedError."""
        self._finished = True
        self._host.finish()
