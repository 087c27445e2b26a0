"""An accelerator without hardware: exact values from its images, exact cycles from its rules.

Axes: T frames, C activations of an input frame, O outputs of the last layer on the accelerator,
V utterances of a wave.

The methods are those of any accelerator as its host sees it (``accelerator.Device``): push frames,
read results, ask for the counters. Values do not depend on timing, nor timing on values, so each is
computed when it is asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.program import Program
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.arithmetic import ProgramArithmetic
from sparsespeech.simulator.cell import UnitState
from sparsespeech.simulator.machine import Run, simulate
from sparsespeech.simulator.sequence import FrameOrder, SequenceMemory
from sparsespeech.simulator.weights import TaskWeights, task_weights

Frames = NDArray[np.uint8]


class Simulator:
    """One accelerator with one program; nothing has been run yet."""

    def __init__(self, program: Program) -> None:
        """Raises ProgramFileError for images that no core can execute."""
        self.program = program
        self._waves: list[tuple[int, ...]] = []
        self._results: deque[list[Frames]] = deque()

    def reset(self) -> None:
        """Back to cycle 0; what was pushed and not read is dropped."""
        self._waves.clear()
        self._results.clear()

    def push(self, wave: Sequence[Frames]) -> None:
        """Send the frames uint8[T, C] of utterances that are in flight together.

        Raises InputWindowsError for frames of another kind, and SimulationError for an utterance
        of zero frames or a wave that the accelerator cannot hold.
        """
        self.check([len(windows) for windows in wave])
        self._results.append([self.arithmetic.run(windows) for windows in wave])
        self._waves.append(tuple(len(windows) for windows in wave))

    def read(self) -> list[Frames]:
        """Outputs uint8[T, O] of each utterance of the oldest wave that was not read.

        Raises SimulationError if there is none.
        """
        if not self._results:
            raise SimulationError("no results are waiting; push frames first")
        return self._results.popleft()

    def counters(self) -> Run:
        """When everything happened that was pushed since the reset, waves without a pause."""
        return self.timing(self._waves)

    def timing(self, waves: Sequence[Sequence[int]]) -> Run:
        """A run of utterances that are given by their numbers of frames alone."""
        return simulate(self.program, [weights.row_end for weights in self._weights], waves)

    def timed_layers(
        self, windows: NDArray[np.integer[Any]], state: UnitState | None = None
    ) -> tuple[Frames, list[tuple[str, float]]]:
        """Outputs of one utterance, and the seconds that computing each layer took here.

        ``state``: of an utterance of a unidirectional program that is given in pieces.
        """
        first = UnitState.first(self.arithmetic.units) if state is None else state
        return self.arithmetic.run_timed(windows, first)

    def check(self, lengths: Sequence[int]) -> None:
        """Raise SimulationError for a wave of utterances that the accelerator cannot hold."""
        order = FrameOrder([tuple(lengths)], self.program.config.contexts)
        for sequence in self.program.sequences:
            SequenceMemory(self.program.config, sequence, order)

    @cached_property
    def arithmetic(self) -> ProgramArithmetic:
        """The values of the program."""
        return ProgramArithmetic(self.program, self._weights)

    @cached_property
    def _weights(self) -> list[TaskWeights]:
        return [task_weights(self.program, number) for number in range(len(self.program.tasks))]
