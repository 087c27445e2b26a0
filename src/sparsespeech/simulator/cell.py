"""Rules R5 to R8: what the pointwise unit behind a recurrent tail does with the four gates.

Axes: U units (cells) of all directions. Gates i, f, g, o are four neighbouring lanes of one pop.
Every function of one int16 is a table of all 65,536 results, indexed by the signed number:
negative indices count from the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.integer_arithmetic.fixed_point import (
    LSTM_OUTPUT_MULTIPLIER,
    LSTM_OUTPUT_SHIFT,
    LSTM_OUTPUT_ZERO_POINT,
    clamp,
    rescale,
    saturate16,
)
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable, sigmoid, tanh

Integers = NDArray[np.int64]

GATES = 4  # i, f, g, o


@dataclass
class UnitState:
    """What an LSTM keeps between two steps, rule R12 at first."""

    outputs: NDArray[np.uint8]  # [U], fed back
    cells: Integers  # [U], Q4.11

    @classmethod
    def first(cls, units: int) -> UnitState:
        """Before the first frame of an utterance."""
        outputs = np.full(units, LSTM_OUTPUT_ZERO_POINT, dtype=np.uint8)
        return cls(outputs, np.zeros(units, dtype=np.int64))


class PointwiseUnit:
    """The functions of R6 and R8 as tables, and a step of R5 to R8 on many units at once."""

    def __init__(self, table: SigmoidTable) -> None:
        """``table``: 64 segments (R6)."""
        every = np.concatenate([np.arange(0, 32768), np.arange(-32768, 0)])
        self._sigmoid = sigmoid(every, table)
        self._tanh = tanh(every, table)
        multiplier, shift = np.array([LSTM_OUTPUT_MULTIPLIER]), np.array([LSTM_OUTPUT_SHIFT])
        output = rescale(every, multiplier, shift) + LSTM_OUTPUT_ZERO_POINT
        self._output = clamp(output, 0, 255).astype(np.uint8)

    def step(self, gates: Integers, state: UnitState) -> None:
        """One step from the recurrent sums with the gate inputs added, int64[U, 4]."""
        p = saturate16(gates)  # R5
        i, f, g = self._sigmoid[p[:, 0]], self._sigmoid[p[:, 1]], self._tanh[p[:, 2]]
        state.cells = saturate16((f * state.cells + ((i * g + 8) >> 4) + (1 << 14)) >> 15)  # R7
        m = (self._sigmoid[p[:, 3]] * self._tanh[state.cells] + (1 << 14)) >> 15
        state.outputs = self._output[m]  # R8
