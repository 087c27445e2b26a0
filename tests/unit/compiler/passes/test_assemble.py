"""Chains, computed from a program's rows, columns, segments and tails, against the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.program import HOST, Chain, Mapping, Program
from sparsespeech.errors import CompileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import deepspeech
from sparsespeech.integer_arithmetic import lstm, operators
from sparsespeech.integer_arithmetic.fixed_point import requantize, rescale, saturate16
from sparsespeech.model_file.model import IntegerModel, LinearLayer, LstmLayer
from tests.accelerator_plans import connected, mapped
from tests.random_models import random_model_of_graph

FEATURES = MfccConfig(coefficients=13, filters=26, context=2)  # 65 inputs
MAPPINGS: list[Mapping] = ["paper", "interleaved"]
Integers = NDArray[np.int64]


def random_program(
    mapping: Mapping, *, bidirectional: bool = True, per_row: bool = False
) -> Program:
    """DeepSpeech of 22 on cores like those of ``tiny``, small enough to cut layers up."""
    graph = deepspeech(22, inputs=FEATURES.inputs, bidirectional=bidirectional)
    model = random_model_of_graph(
        np.random.default_rng(3), graph, FEATURES, sparsity=0.7, per_row=per_row
    )
    config = replace(
        TARGETS["tiny"], grid_rows=10, grid_columns=10, cores=100, window_columns=8, weight_words=12
    )
    return assemble(connected(mapped(model, config, mapping)))


def stores(program: Program, chain: Chain, frames: dict[int, Integers]) -> list[Integers]:
    """What the segments of each task of ``chain`` put into its store."""
    filled = []
    for number in chain.tasks:
        task = program.tasks[number]
        store = np.full(task.columns[1] - task.columns[0], 999, dtype=np.int64)
        for segment in task.segments:
            run = frames[segment.stream][segment.first : segment.first + segment.count]
            store[segment.destination : segment.destination + segment.count] = run
        filled.append(store)
    return filled


def sums(program: Program, chain: Chain, frames: dict[int, Integers]) -> Integers:
    """Full sums with bias, int64[N, R], of the rows of ``chain``."""
    matrix = matrix_of(program.model, chain.tasks and program.tasks[chain.tasks[0]].matrix)
    dense = np.zeros((matrix.shape[0] + 1, matrix.shape[1]), dtype=np.int64)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.row_start))
    dense[rows, matrix.column] = matrix.value
    total = chain.tail.bias.copy()
    for number, store in zip(chain.tasks, stores(program, chain, frames), strict=True):
        start, stop = program.tasks[number].columns
        total += dense[chain.tail.rows][:, :, start:stop] @ store
    return total


def present(chain: Chain, values: Integers) -> Integers:
    """Values of lanes that have a row, step by step and lane by lane."""
    return values[chain.tail.rows >= 0]


def layer(model: IntegerModel, name: str) -> LinearLayer | LstmLayer:
    found = next(layer for layer in model.layers if layer.name == name)
    assert isinstance(found, LinearLayer | LstmLayer)
    return found


def linear_outputs(program: Program, window: Integers) -> tuple[Integers, dict[int, Integers]]:
    """The last linear layer's outputs, and the frames of all streams up to there."""
    frames = {
        number: window for number, stream in enumerate(program.streams) if stream.source == HOST
    }
    sequences = {sequence.chain: sequence for sequence in program.sequences}
    made: list[Integers] = []
    for number, chain in enumerate(program.chains):
        if chain.role != "linear":
            continue
        tail = chain.tail
        values = requantize(
            sums(program, chain, frames),
            tail.multiplier,
            tail.shift,
            tail.zero_point,
            tail.low,
            tail.high,
        )
        outputs = present(chain, values)
        assert outputs.size == chain.outputs
        streams = sequences[number].streams if number in sequences else (chain.output_stream,)
        frames.update((stream, outputs) for stream in streams if stream is not None)
        made = [*made, outputs] if chain.first_output else [outputs]
    return np.concatenate(made), frames


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_linear_chains_compute_the_layers_of_the_reference(mapping: Mapping, per_row: bool) -> None:
    program = random_program(mapping, per_row=per_row)
    x = np.random.default_rng(5).integers(0, 256, (1, FEATURES.inputs))
    outputs, _ = linear_outputs(program, x[0])
    for name in ("layer1", "layer2", "layer3"):
        reference = layer(program.model, name)
        assert isinstance(reference, LinearLayer)
        x = operators.linear(reference, x)
    assert outputs.tolist() == x[0].tolist()
    groups = [chain for chain in program.chains if chain.layer == "layer3"]
    assert len(groups) > 1
    assert all(len(chain.tasks) > 1 for chain in groups)


@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_recurrent_chains_compute_a_step_of_the_reference(
    mapping: Mapping, bidirectional: bool, per_row: bool
) -> None:
    program = random_program(mapping, bidirectional=bidirectional, per_row=per_row)
    rng = np.random.default_rng(6)
    x, frames = linear_outputs(program, rng.integers(0, 256, FEATURES.inputs))
    reference = layer(program.model, "layer4")
    assert isinstance(reference, LstmLayer)
    for name in ("forward", "backward") if bidirectional else ("forward",):
        direction = getattr(reference, name)
        chains = [chain for chain in program.chains if chain.direction == name]
        fed_back = rng.integers(1, 256, 22)
        for chain in chains:
            if chain.role == "recurrent":
                run = slice(chain.first_output, chain.first_output + chain.outputs)
                frames[chain.output_stream] = fed_back[run]
        expected_input = lstm.input_part(direction, x[np.newaxis])[0]
        accumulator = operators.accumulate(
            direction.recurrent_weights, direction.recurrent_bias, fed_back[np.newaxis]
        )[0]
        scales = direction.recurrent_requantize
        expected_recurrent = rescale(accumulator, scales.multiplier, scales.shift)
        for chain in chains:
            tail = chain.tail
            values = rescale(sums(program, chain, frames), tail.multiplier, tail.shift)
            rows = present(chain, tail.rows)
            if chain.role == "gate_input":
                assert present(chain, saturate16(values)).tolist() == expected_input[rows].tolist()
            else:
                assert present(chain, values).tolist() == expected_recurrent[rows].tolist()
                gates = program.chains[chain.gate_chain]
                assert gates.role == "gate_input"
                assert np.array_equal(gates.tail.rows, chain.tail.rows)
                assert gates.direction == name
        assert sum(chain.outputs for chain in chains if chain.role == "recurrent") == 22


def test_lanes_of_a_step_hold_the_four_gates_of_one_unit() -> None:
    program = random_program("paper")
    units = []
    for chain in program.chains:
        if chain.role == "recurrent" and chain.direction == "forward":
            rows = chain.tail.rows
            assert (rows - rows[:, :1] == [0, 22, 44, 66]).all()  # i, f, g, o of 22 cells
            units += rows[:, 0].tolist()
    assert units == list(range(22))


def test_lanes_without_a_row_have_constants_in_range() -> None:
    program = random_program("paper")
    tails = [chain.tail for chain in program.chains if (chain.tail.rows < 0).any()]
    assert tails  # 22 outputs are no multiple of 4
    for tail in tails:
        absent = tail.rows < 0
        assert (tail.bias[absent] == 0).all()
        assert ((tail.multiplier >= 1 << 15) & (tail.multiplier < 1 << 16)).all()
        assert ((tail.shift >= 1) & (tail.shift <= 47)).all()


def test_columns_without_a_stream_or_with_two_are_errors() -> None:
    plan = connected(mapped(random_program("paper").model, random_program("paper").config, "paper"))
    lost = replace(plan, streams=(replace(plan.streams[0], frame=60), *plan.streams[1:]))
    with pytest.raises(CompileError, match=r"layer1\.weights: columns 60 to 64 come from no stre"):
        assemble(lost)
    twice = replace(plan, streams=(*plan.streams, plan.streams[0]))
    with pytest.raises(CompileError, match=r"layer1\.weights: columns .* come from two streams"):
        assemble(twice)
    unrouted = replace(plan, output_streams=(None, *plan.output_streams[1:]))
    with pytest.raises(CompileError, match=r"layer1\.0: its outputs are on no stream"):
        assemble(unrouted)
