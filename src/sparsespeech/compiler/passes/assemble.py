"""Last step: a full plan as the program that an accelerator loads.

Axes: N row groups, R row lanes, K columns of a task. A task's store is filled from the streams of
the chains (or of the host, or of the memories in front of an LSTM) that make its columns; each
piece is a :class:`Segment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.matrices import row_constants
from sparsespeech.compiler.program import HOST, Chain, Program, Segment, Tail, Task
from sparsespeech.errors import CompileError
from sparsespeech.integer_arithmetic.fixed_point import MULTIPLIER_MINIMUM, SHIFT_MINIMUM


@dataclass(frozen=True)
class _Piece:
    """Columns ``first`` .. ``first + count - 1`` of a layer's input are one stream's frame."""

    stream: int
    first: int
    count: int


def assemble(plan: Plan) -> Program:
    """The program of a plan that has been through all passes.

    Raises CompileError if a column of a task comes from no stream, or from two.
    """
    tasks: list[Task] = []
    chains: list[Chain] = []
    for number, chain in enumerate(plan.chains):
        numbers = range(len(tasks), len(tasks) + len(chain.slices))
        pieces = _input_pieces(plan, chain)
        tasks += [_task(plan, number, position, pieces) for position in range(len(chain.slices))]
        chains.append(_chain(plan, number, tuple(numbers)))
    return Program(
        config=plan.config,
        mapping=plan.mapping,
        places=plan.places,
        tasks=tuple(tasks),
        chains=tuple(chains),
        streams=plan.streams,
        sequences=plan.sequences,
        words=plan.words,
        accelerated=plan.accelerated,
        model=plan.model,
        facts=plan.facts,
    )


def segments_of_slice(
    name: str, columns: tuple[int, int], pieces: Sequence[_Piece]
) -> tuple[Segment, ...]:
    """The runs that fill the columns ``columns`` of a matrix, in the order of their columns.

    Raises CompileError unless they cover each column once.
    """
    start, stop = columns
    segments: list[Segment] = []
    covered = start
    for piece in sorted(pieces, key=lambda piece: piece.first):
        first, end = max(start, piece.first), min(stop, piece.first + piece.count)
        if first >= end:
            continue
        if first != covered:
            raise CompileError(
                f"{name}: columns {min(first, covered)} to {max(first, covered) - 1} come from "
                f"{'no stream' if first > covered else 'two streams'}; expected one"
            )
        segments.append(Segment(piece.stream, first - piece.first, end - first, first - start))
        covered = end
    if covered != stop:
        raise CompileError(f"{name}: columns {covered} to {stop - 1} come from no stream")
    return tuple(segments)


def tail_of(plan: Plan, chain: ChainPlan) -> Tail:
    """Bias and scales of the rows of ``chain``; lanes without a row have harmless ones."""
    constants = row_constants(plan.model, chain.matrix)
    present = chain.rows >= 0

    def of_rows(values: NDArray[np.int64], absent: int) -> NDArray[np.int64]:
        return np.where(present, values[np.where(present, chain.rows, 0)], absent)

    return Tail(
        rows=chain.rows,
        bias=of_rows(constants.bias, 0),
        multiplier=of_rows(constants.multiplier, MULTIPLIER_MINIMUM),
        shift=of_rows(constants.shift, SHIFT_MINIMUM),
        zero_point=constants.zero_point,
        low=constants.low,
        high=constants.high,
    )


def _task(plan: Plan, number: int, position: int, pieces: Sequence[_Piece]) -> Task:
    chain = plan.chains[number]
    columns = chain.slices[position]
    return Task(
        core=chain.cores[position],
        chain=number,
        position=position,
        matrix=chain.matrix,
        columns=columns,
        word_start=plan.word_start[number][position],
        word_count=plan.word_count[number][position],
        segments=segments_of_slice(chain.matrix, columns, pieces),
    )


def _chain(plan: Plan, number: int, tasks: tuple[int, ...]) -> Chain:
    chain = plan.chains[number]
    gate_chain = None
    if chain.role == "recurrent":
        gate_chain = next(
            other
            for other, gates in enumerate(plan.chains)
            if gates.role == "gate_input"
            and (gates.layer, gates.direction, gates.row_group)
            == (chain.layer, chain.direction, chain.row_group)
        )
    return Chain(
        name=chain.name,
        layer=chain.layer,
        direction=chain.direction,
        role=chain.role,
        row_group=chain.row_group,
        tasks=tasks,
        tail=tail_of(plan, chain),
        first_output=chain.first_output,
        outputs=chain.outputs,
        output_stream=plan.output_streams[number],
        gate_chain=gate_chain,
    )


def _input_pieces(plan: Plan, chain: ChainPlan) -> list[_Piece]:
    """Which streams carry which columns of the input of ``chain``."""
    if chain.role == "recurrent":
        return [
            _piece(other, plan.output_streams[number])
            for number, other in enumerate(plan.chains)
            if other.role == "recurrent" and other.direction == chain.direction
        ]
    before = plan.accelerated.index(chain.layer) - 1
    if before < 0:
        return _host_pieces(plan, chain)
    layer = plan.accelerated[before]
    if chain.role == "gate_input":
        return [
            _piece(plan.chains[sequence.chain], stream)
            for sequence in plan.sequences
            for stream, direction in zip(sequence.streams, sequence.directions, strict=True)
            if direction in ("both", chain.direction)
        ]
    return [
        _piece(other, plan.output_streams[number])
        for number, other in enumerate(plan.chains)
        if other.layer == layer
    ]


def _host_pieces(plan: Plan, chain: ChainPlan) -> list[_Piece]:
    """The host's frames: whole, on one stream that reaches the cores of ``chain``."""
    return [
        _Piece(number, 0, stream.frame)
        for number, stream in enumerate(plan.streams)
        if stream.kind == "activations"
        and stream.source == HOST
        and {sink.core for sink in stream.sinks} >= set(chain.cores)
    ]


def _piece(chain: ChainPlan, stream: int | None) -> _Piece:
    if stream is None:
        raise CompileError(f"{chain.name}: its outputs are on no stream; was route run?")
    return _Piece(stream, chain.first_output, chain.outputs)
