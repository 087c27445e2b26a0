"""An accelerator without hardware: exact values from its images, exact cycles from its rules.

Axes: T frames, C activations of an input frame, O outputs of the last layer on the accelerator.

Values do not depend on timing, nor timing on values, so each is computed when it is asked for.
``device.py`` makes an accelerator with a host's interface of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.program import Program
from sparsespeech.simulator.arithmetic import ProgramArithmetic
from sparsespeech.simulator.cell import UnitState
from sparsespeech.simulator.machine import Run, simulate
from sparsespeech.simulator.sequence import FrameOrder, SequenceMemory
from sparsespeech.simulator.weights import TaskWeights, task_weights

Frames = NDArray[np.uint8]


class Simulator:
    """Values and cycles of one program, independent of each other."""

    def __init__(self, program: Program) -> None:
        """Images are decoded when they are needed: ProgramFileError for those of no core."""
        self.program = program

    def timing(self, waves: Sequence[Sequence[int]]) -> Run:
        """The run of utterances given by their numbers of frames; those of a wave are together.

        Waves follow each other without a pause. Raises SimulationError for what cannot be in
        flight, or for none.
        """
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
