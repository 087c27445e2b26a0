"""Rule R3 on the cores of one layer: what the weight memories multiply, what the chains add up.

Axes: T frames, P positions of a chain (cores that add up a row), N row groups, R row lanes,
L = N R lanes of a pass summed over the chains, C entries of the input vector. Activations are
uint8, sums are int32 (int64 where a core is so wide that 31 bits may not do).

The weights are those of the program's images, decoded by ``weights.py``, not those of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sparsespeech.compiler.program import Chain, Program, Segment
from sparsespeech.errors import ProgramFileError, SimulationError
from sparsespeech.simulator.weights import TaskWeights

Sums = NDArray[np.int64]
Placement = Callable[[Chain, int], int]
"""Where the frame of a stream begins in the input vector of a chain."""

FRAMES_AT_ONCE = 64  # the sums of a block stay small beside the weights


def frame_blocks(frames: int) -> Iterator[slice]:
    """Slices of at most ``FRAMES_AT_ONCE`` frames that cover ``range(frames)`` in order."""
    for start in range(0, frames, FRAMES_AT_ONCE):
        yield slice(start, min(start + FRAMES_AT_ONCE, frames))


class ChainProduct:
    """The sparse product of several chains with one vector, core by core."""

    def __init__(
        self,
        program: Program,
        weights: Sequence[TaskWeights],
        chains: Sequence[int],
        inputs: int,
        place: Placement,
    ) -> None:
        """Prepare the chains ``chains``; ``weights`` are those of all tasks, ``inputs`` is C.

        Raises ProgramFileError for a task with a column that no segment fills.
        """
        self.chains = tuple(program.chains[number] for number in chains)
        self.lanes = tuple(chain.tail.rows.size for chain in self.chains)
        config = program.config
        self._positions = max(len(chain.tasks) for chain in self.chains)
        self._limit = 1 << (config.partial_sum_bits - 1)
        narrow = config.partial_sum_bits <= 32 and config.columns < 1 << 16
        self._type = np.int32 if narrow else np.int64
        self._matrix = self._stacked(program, weights, inputs, place)
        tails = [chain.tail for chain in self.chains]
        self.bias = np.concatenate([tail.bias.reshape(-1) for tail in tails])
        self.multiplier = np.concatenate([tail.multiplier.reshape(-1) for tail in tails])
        self.shift = np.concatenate([tail.shift.reshape(-1) for tail in tails])

    def _stacked(
        self, program: Program, weights: Sequence[TaskWeights], inputs: int, place: Placement
    ) -> csr_array:
        """Integers [P L, C]: row ``position * L + lane`` holds the weights of one core."""
        lanes = sum(self.lanes)
        rows, columns, values = [], [], []
        first_lane = 0
        for chain, count in zip(self.chains, self.lanes, strict=True):
            for position, task_number in enumerate(chain.tasks):
                task = program.tasks[task_number]
                stored = weights[task_number]
                width = task.columns[1] - task.columns[0]
                source = _source(task.segments, width, chain, place)
                rows.append(position * lanes + first_lane + stored.row)
                columns.append(source[stored.column])
                values.append(stored.weight.astype(self._type))
            first_lane += count
        entries = (np.concatenate(rows), np.concatenate(columns))
        shape = (self._positions * lanes, inputs)
        return csr_array((np.concatenate(values), entries), shape=shape)

    def accumulate(self, x: NDArray[np.uint8]) -> Sums:
        """Full sums with their bias, int64[L] of uint8[C] or int64[L, T] of uint8[C, T].

        Raises SimulationError if the sum of a core leaves ``partial_sum_bits``.
        """
        products = self._matrix @ x.astype(self._type)
        products = products.reshape(self._positions, -1, *x.shape[1:])
        sums = products[0]
        self._check(sums, 0)
        for position in range(1, self._positions):
            sums += products[position]
            self._check(sums, position)
        bias = self.bias if x.ndim == 1 else self.bias[:, np.newaxis]
        full: Sums = sums + bias
        self._check(full, self._positions - 1)
        return full

    def _check(self, sums: NDArray[np.integer[Any]], position: int) -> None:
        """What the core at ``position`` of each chain adds up must fit its register."""
        if sums.max() < self._limit and sums.min() >= -self._limit:
            return
        outside = ((sums >= self._limit) | (sums < -self._limit)).reshape(len(sums), -1)
        lane = int(outside.any(axis=1).argmax())
        ends = np.cumsum(self.lanes)
        number = int(np.searchsorted(ends, lane, side="right"))
        chain = self.chains[number]
        lane -= int(ends[number]) - self.lanes[number]
        group, row_lane = divmod(lane, chain.tail.rows.shape[1])
        raise SimulationError(
            f"{chain.name}: core {position} of the chain, row group {group}, lane {row_lane}: the "
            f"partial sum leaves {self._limit.bit_length()} bits; raise partial_sum_bits with "
            "--config and compile the model again"
        )


def _source(
    segments: tuple[Segment, ...], width: int, chain: Chain, place: Placement
) -> NDArray[np.int64]:
    """Entry of the input vector that lies in each column of a task's store."""
    source = np.full(width, -1, dtype=np.int64)
    for segment in segments:
        first = place(chain, segment.stream) + segment.first
        source[segment.destination : segment.destination + segment.count] = np.arange(
            first, first + segment.count
        )
    if (source < 0).any():
        raise ProgramFileError(
            f"{chain.name}: no stream fills column {int(np.argmin(source))} of a task of {width}; "
            "compile the model again"
        )
    return source
