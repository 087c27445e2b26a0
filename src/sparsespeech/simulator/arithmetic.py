"""The values of a program, bit-exact: every chain of every frame, from the program's own images.

Axes: T frames, C activations of an input frame, O outputs of the last layer on the accelerator,
L lanes of a pass (row groups x row lanes) over all chains of a layer, U units.

A program's values do not depend on its timing: frames reach a core in the order in which they are
used, and a chain adds in the order of its cores. So linear layers are computed for many frames at
once, and an LSTM step by step for both directions in one product. Rules R3 to R8 and R12.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_waves import check_windows, host_inputs
from sparsespeech.compiler.program import HOST, Chain, Program
from sparsespeech.errors import ProgramFileError, SimulationError
from sparsespeech.integer_arithmetic.fixed_point import (
    rescale,
    saturate16,
)
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable
from sparsespeech.simulator.cell import GATES, PointwiseUnit, UnitState
from sparsespeech.simulator.chain_product import ChainProduct, frame_blocks
from sparsespeech.simulator.weights import TaskWeights

Frames = NDArray[np.uint8]


class ProgramArithmetic:
    """The numbers that an accelerator with one program sends to the host."""

    def __init__(self, program: Program, weights: Sequence[TaskWeights]) -> None:
        """``weights``: of each task, decoded from the images.

        Raises ProgramFileError for streams and chains that do not fit together.
        """
        self._program = program
        self.inputs = host_inputs(program)
        self._layers = [
            _LinearValues(program, weights, numbers) for numbers in _linear_layers(program)
        ]
        recurrent = [n for n, chain in enumerate(program.chains) if chain.role == "recurrent"]
        self._recurrent = _RecurrentValues(program, weights, recurrent) if recurrent else None
        last = recurrent or list(_linear_layers(program)[-1])
        self._output_places = _output_places(program, last)

    @property
    def units(self) -> int:
        """U, of both directions; 0 where no recurrent layer is on the accelerator."""
        return 0 if self._recurrent is None else self._recurrent.units

    def run(self, windows: NDArray[np.integer[Any]]) -> Frames:
        """Outputs uint8[T, O] of one utterance, both directions side by side, of uint8[T, C].

        Raises InputWindowsError for other windows, and SimulationError for no frames or for a
        partial sum outside its register.
        """
        return self.run_timed(windows, UnitState.first(self.units))[0]

    def run_timed(
        self, windows: NDArray[np.integer[Any]], state: UnitState
    ) -> tuple[Frames, list[tuple[str, float]]]:
        """:meth:`run` from ``state``, which moves on, and the seconds that each layer took."""
        frames = _checked_windows(windows, self.inputs)
        carried = {
            number: frames
            for number, stream in enumerate(self._program.streams)
            if stream.kind == "activations" and stream.source == HOST
        }
        times = [time.perf_counter()]
        results = frames
        for layer in self._layers:
            results = layer.run(carried)
            for stream, part in layer.sent(results):
                carried[stream] = part
            times.append(time.perf_counter())
        if self._recurrent is not None:
            results = self._recurrent.run(carried, state)
            times.append(time.perf_counter())
        seconds = [stop - start for start, stop in itertools.pairwise(times)]
        names = self._program.accelerated
        outputs = np.ascontiguousarray(results[:, self._output_places])
        return outputs, list(zip(names, seconds, strict=True))


class _LinearValues:
    """R3 and R4 of the chains of one fully connected layer; outputs in the order of the chains."""

    def __init__(
        self, program: Program, weights: Sequence[TaskWeights], numbers: Sequence[int]
    ) -> None:
        self._inputs = _InputVector(program, numbers)
        self._product = ChainProduct(
            program, weights, numbers, self._inputs.width, self._inputs.place
        )
        tails = [chain.tail for chain in self._product.chains]
        lanes = self._product.lanes

        def a_lane(values: Sequence[int]) -> NDArray[np.int64]:
            return np.repeat(np.array(values, dtype=np.int64), lanes)

        self._present = np.flatnonzero(
            np.concatenate([tail.rows.reshape(-1) for tail in tails]) >= 0
        )
        self._zero_point = a_lane([tail.zero_point for tail in tails])[self._present]
        self._low = a_lane([tail.low for tail in tails])[self._present]
        self._high = a_lane([tail.high for tail in tails])[self._present]
        self._streams = []  # with first and last output of their chain
        start = 0
        for number in numbers:
            stop = start + program.chains[number].outputs
            self._streams += [(s, start, stop) for s in _output_streams(program, number)]
            start = stop

    def run(self, carried: dict[int, Frames]) -> Frames:
        """Outputs uint8[T, O]."""
        x = self._inputs.gather(carried)
        product = self._product
        scales = product.multiplier[self._present], product.shift[self._present]
        outputs = np.empty((x.shape[1], self._present.size), dtype=np.uint8)
        for block in frame_blocks(x.shape[1]):
            sums = product.accumulate(x[:, block])[self._present]
            rescaled = rescale(sums.T, *scales) + self._zero_point
            outputs[block] = np.clip(rescaled, self._low, self._high)
        return outputs

    def sent(self, outputs: Frames) -> list[tuple[int, Frames]]:
        """Streams with the frames that they carry."""
        return [(stream, outputs[:, start:stop]) for stream, start, stop in self._streams]


class _RecurrentValues:
    """R3 to R8 of an LSTM, both directions in lockstep; units in the order of the chains."""

    def __init__(
        self, program: Program, weights: Sequence[TaskWeights], numbers: Sequence[int]
    ) -> None:
        order = sorted(numbers, key=lambda n: program.chains[n].direction == "backward")
        chains = [program.chains[number] for number in order]
        gates = [_gate_chain(program, chain) for chain in chains]
        self._inputs = _InputVector(program, gates)
        self._gates = ChainProduct(program, weights, gates, self._inputs.width, self._inputs.place)
        first_unit = {}
        units = 0
        for chain in chains:
            first_unit[chain.direction, chain.output_stream] = units
            units += chain.outputs

        def place(chain: Chain, stream: int) -> int:
            if (chain.direction, stream) not in first_unit:
                raise ProgramFileError(
                    f"{chain.name}: stream {stream} carries no output of its direction; compile "
                    "the model again"
                )
            return first_unit[chain.direction, stream]

        self.units = units
        self._sums = ChainProduct(program, weights, order, units, place)
        if self._sums.lanes != self._gates.lanes:
            raise ProgramFileError(
                f"{chains[0].layer}: recurrent chains and their gate inputs differ in row groups; "
                "compile the model again"
            )
        rows = np.concatenate([chain.tail.rows.reshape(-1, GATES) for chain in chains])
        self._present = np.flatnonzero((rows >= 0).all(axis=1))
        if self._present.size != units or (rows >= 0).any(axis=1).sum() != units:
            raise ProgramFileError(
                f"{chains[0].layer}: {units} units expected, lanes hold {self._present.size} "
                "complete ones; compile the model again"
            )
        self._forward_lanes = sum(
            lanes
            for lanes, chain in zip(self._sums.lanes, chains, strict=True)
            if chain.direction != "backward"
        )
        self._backward_unit = sum(c.outputs for c in chains if c.direction != "backward")
        tables = program.model.tables
        self._unit = PointwiseUnit(SigmoidTable(tables["sigmoid_base"], tables["sigmoid_slope"]))

    def run(self, carried: dict[int, Frames], state: UnitState) -> Frames:
        """Outputs uint8[T, U] in frame order."""
        gate_inputs = self._gate_inputs(self._inputs.gather(carried))
        frames = len(gate_inputs)
        results = np.empty((frames, self.units), dtype=np.uint8)
        sums, forward = self._sums, self._forward_lanes
        for step in range(frames):
            p = rescale(sums.accumulate(state.outputs), sums.multiplier, sums.shift)
            p[:forward] += gate_inputs[step, :forward]
            p[forward:] += gate_inputs[-1 - step, forward:]
            self._unit.step(p.reshape(-1, GATES)[self._present], state)
            results[step] = state.outputs
        backward = slice(self._backward_unit, None)
        results[:, backward] = results[::-1, backward].copy()
        return results

    def _gate_inputs(self, x: Frames) -> NDArray[np.int16]:
        """R5's xp, int16[T, L]."""
        product = self._gates
        result = np.empty((x.shape[1], product.bias.size), dtype=np.int16)
        for block in frame_blocks(x.shape[1]):
            sums = product.accumulate(x[:, block]).T
            result[block] = saturate16(rescale(sums, product.multiplier, product.shift))
        return result


class _InputVector:
    """Side by side, the frames of all streams that fill the stores of some chains."""

    def __init__(self, program: Program, numbers: Sequence[int]) -> None:
        tasks = [program.tasks[task] for number in numbers for task in program.chains[number].tasks]
        self._first: dict[int, int] = {}
        self.width = 0
        for stream in sorted({segment.stream for task in tasks for segment in task.segments}):
            self._first[stream] = self.width
            self.width += program.streams[stream].frame

    def place(self, _chain: Chain, stream: int) -> int:
        """Where the frame of ``stream`` begins."""
        return self._first[stream]

    def gather(self, carried: dict[int, Frames]) -> Frames:
        """The vectors of all frames as columns, uint8[C, T]."""
        missing = [stream for stream in self._first if stream not in carried]
        if missing:
            raise ProgramFileError(
                f"stream {missing[0]} feeds a chain before anything feeds it; compile the model "
                "again"
            )
        return np.concatenate([carried[stream] for stream in self._first], axis=1).T


def _linear_layers(program: Program) -> list[list[int]]:
    """Numbers of the chains of each fully connected layer, in the order of the layers."""
    linear = [n for n, chain in enumerate(program.chains) if chain.role == "linear"]
    names = dict.fromkeys(program.chains[number].layer for number in linear)
    return [[n for n in linear if program.chains[n].layer == name] for name in names]


def _output_streams(program: Program, number: int) -> tuple[int, ...]:
    """Streams that carry the outputs of a linear chain: its own, or those of its memory."""
    own = program.chains[number].output_stream
    if own is not None:
        return (own,)
    memories = [memory for memory in program.sequences if memory.chain == number]
    return tuple(stream for memory in memories for stream in memory.streams)


def _gate_chain(program: Program, chain: Chain) -> int:
    if chain.gate_chain is None:
        raise ProgramFileError(f"{chain.name}: no chain makes its gate inputs; compile it again")
    return chain.gate_chain


def _output_places(program: Program, numbers: Sequence[int]) -> NDArray[np.int64]:
    """For each output of the layer, its place among the outputs of the chains ``numbers``.

    ``numbers`` in the order in which the values are computed: forward chains first.
    """
    chains = sorted(
        (program.chains[number] for number in numbers), key=lambda c: c.direction == "backward"
    )
    forward = sum(chain.outputs for chain in chains if chain.direction != "backward")
    outputs = np.concatenate(
        [
            np.arange(chain.outputs)
            + chain.first_output
            + (forward if chain.direction == "backward" else 0)
            for chain in chains
        ]
    )
    return np.argsort(outputs, kind="stable")


def _checked_windows(windows: NDArray[np.integer[Any]], inputs: int) -> Frames:
    check_windows(windows, inputs)
    if windows.shape[0] == 0:
        raise SimulationError(
            "an utterance of zero frames cannot be run; give at least one feature window"
        )
    return windows.astype(np.uint8, copy=False)
