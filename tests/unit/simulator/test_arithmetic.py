"""Values of programs: those of the reference executor, computed from the memory images alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.compiler.program import Mapping, Program, Segment
from sparsespeech.errors import InputWindowsError, ProgramFileError, SimulationError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.simulator.arithmetic import ProgramArithmetic
from sparsespeech.simulator.cell import UnitState
from sparsespeech.simulator.weights import task_weights
from tests.compiled_programs import INPUTS, random_windows, small_program


def arithmetic(program: Program) -> ProgramArithmetic:
    weights = [task_weights(program, number) for number in range(len(program.tasks))]
    return ProgramArithmetic(program, weights)


def reference_outputs(program: Program, windows: np.ndarray) -> np.ndarray:
    """Of the last layer on the accelerator."""
    kept = [layer.name in program.accelerated for layer in program.model.layers]
    model = replace(
        program.model,
        layers=tuple(layer for layer, keep in zip(program.model.layers, kept, strict=True) if keep),
        graph=replace(
            program.model.graph,
            layers=tuple(
                layer for layer, keep in zip(program.model.graph.layers, kept, strict=True) if keep
            ),
        ),
    )
    return ReferenceExecutor(model).run(windows)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("hidden", "per_row"), [(8, False), (20, True)])
def test_outputs_are_those_of_the_reference(
    mapping: Mapping, bidirectional: bool, hidden: int, per_row: bool
) -> None:
    program = small_program(
        3, hidden=hidden, bidirectional=bidirectional, mapping=mapping, per_row=per_row
    )
    windows = random_windows(1, 70)  # more than a block of frames
    outputs = arithmetic(program).run(windows)
    assert outputs.dtype == np.uint8
    assert np.array_equal(outputs, reference_outputs(program, windows))
    assert np.unique(outputs).size > 50  # they say something


def test_the_larger_program_has_chains_of_cores_and_several_row_groups() -> None:
    program = small_program(3, hidden=20, mapping="interleaved", per_row=True)
    assert max(len(chain.tasks) for chain in program.chains) == 2
    assert max(chain.row_group for chain in program.chains) >= 1


def test_linear_layers_alone() -> None:
    program = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    windows = random_windows(2, 9)
    assert np.array_equal(arithmetic(program).run(windows), reference_outputs(program, windows))


def test_utterance_in_pieces_is_the_utterance_whole() -> None:
    values = arithmetic(small_program(6, bidirectional=False))
    windows = random_windows(3, 12)
    state = UnitState.first(values.units)
    pieces = [values.run_timed(part, state)[0] for part in np.split(windows, [1, 7])]
    assert np.array_equal(np.concatenate(pieces), values.run(windows))


def test_layers_are_timed_by_name() -> None:
    program = small_program(0)
    values = arithmetic(program)
    _, times = values.run_timed(random_windows(0, 2), UnitState.first(values.units))
    assert [name for name, _ in times] == list(program.accelerated)
    assert all(seconds >= 0.0 for _, seconds in times)


@pytest.mark.parametrize("matrix", ["layer1.weights", "layer3.forward.recurrent_weights"])
def test_values_come_from_the_images(matrix: str) -> None:
    """A weight changed in the image of one core changes the outputs, whatever the model says."""
    program = small_program(4)
    windows = random_windows(4, 6)
    number = next(n for n, task in enumerate(program.tasks) if task.matrix == matrix)
    core = program.tasks[number].core
    words = [image.copy() for image in program.words]
    # weight bits of the first entries of all words: the lowest 8 bits
    entry = words[core] & np.uint64(0xFF)
    words[core] ^= np.where(entry > 2, np.uint64(0x03), np.uint64(0))  # never to 0
    changed = arithmetic(replace(program, words=tuple(words))).run(windows)
    assert not np.array_equal(changed, arithmetic(program).run(windows))


def test_partial_sum_outside_its_register() -> None:
    program = small_program(3, hidden=20)
    narrow = replace(program, config=replace(program.config, partial_sum_bits=8))
    with pytest.raises(SimulationError, match=r"layer1\.0: core 0 .*lane \d.* leaves 8 bits"):
        arithmetic(narrow).run(random_windows(1, 4))


def test_largest_partial_sum_that_fits() -> None:
    """The register is checked to the bit: the largest magnitude decides."""
    program = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    windows = random_windows(2, 9)
    fits = [
        bits
        for bits in range(8, 27)
        if not _overflows(replace(program, config=replace(program.config, partial_sum_bits=bits)))
    ]
    largest = _largest_sum(program, windows)
    assert fits == list(range(int(largest).bit_length() + 1, 27))


def test_sum_that_only_the_bias_brings_back() -> None:
    """The register is checked before the bias and after it, to the last value that it holds."""
    program = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    windows = random_windows(2, 1)
    chain = program.chains[0]
    bias = chain.tail.bias
    sums = _sums(program, "layer1", windows)
    largest = int(np.abs(sums).max())

    def with_bias(values: np.ndarray, bits: int) -> Program:
        tail = replace(chain.tail, bias=values.reshape(bias.shape))
        chains = (replace(chain, tail=tail), *program.chains[1:])
        config = replace(program.config, partial_sum_bits=bits)
        return replace(program, chains=chains, config=config)

    enough = 26
    cancelled = with_bias(-sums, largest.bit_length())
    with pytest.raises(SimulationError, match=rf"layer1\.0: .* {largest.bit_length()} bits"):
        arithmetic(cancelled).run(windows)
    lowest = -(1 << (enough - 1))
    arithmetic(with_bias(lowest - sums, enough)).run(windows)
    with pytest.raises(SimulationError, match=f"leaves {enough} bits"):
        arithmetic(with_bias(lowest - sums - 1, enough)).run(windows)


def _sums(program: Program, layer: str, x: np.ndarray) -> np.ndarray:
    """Of the only chain of ``layer`` without bias, for one frame, a lane each."""
    weights = next(entry for entry in program.model.layers if entry.name == layer).weights
    (chain,) = (chain for chain in program.chains if chain.layer == layer)
    rows = np.repeat(np.arange(weights.shape[0]), np.diff(weights.row_start))
    sums = np.zeros(weights.shape[0], dtype=np.int64)
    np.add.at(sums, rows, weights.value.astype(np.int64) * x[0][weights.column])
    return sums[chain.tail.rows.reshape(-1)]


def test_sum_of_a_later_core_that_only_the_bias_brings_back() -> None:
    program = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    chain = next(chain for chain in program.chains if chain.layer == "layer2")
    assert len(chain.tasks) == 2
    windows = random_windows(0, 1) // 8  # small sums in the layer before
    x = reference_outputs(replace(program, accelerated=("layer1",)), windows)
    sums = _sums(program, "layer2", x)
    tail = replace(chain.tail, bias=-sums.reshape(chain.tail.bias.shape))
    chains = tuple(replace(c, tail=tail) if c is chain else c for c in program.chains)
    bits = int(np.abs(sums).max()).bit_length()
    narrow = replace(program.config, partial_sum_bits=bits)
    with pytest.raises(SimulationError, match=rf"layer2\.0: core 1 of .* {bits} bits"):
        arithmetic(replace(program, chains=chains, config=narrow)).run(windows)


def test_order_of_the_chains_does_not_matter() -> None:
    program = small_program(3, hidden=20, mapping="interleaved", per_row=True)
    recurrent = [n for n, chain in enumerate(program.chains) if chain.role == "recurrent"]
    assert len(recurrent) >= 6
    chains = list(program.chains)
    for place, number in zip(recurrent, [*recurrent[1:], recurrent[0]], strict=True):
        chains[place] = program.chains[number]
    windows = random_windows(1, 5)
    outputs = arithmetic(replace(program, chains=tuple(chains))).run(windows)
    assert np.array_equal(outputs, reference_outputs(program, windows))


def _overflows(program: Program) -> bool:
    try:
        arithmetic(program).run(random_windows(2, 9))
    except SimulationError:
        return True
    return False


def _largest_sum(program: Program, windows: np.ndarray) -> int:
    """Of all prefixes of chains, with and without the bias; from the model's own matrices."""
    x = windows.astype(np.int64)
    largest = 0
    for layer in program.model.layers[:2]:
        dense = np.zeros(layer.weights.shape, dtype=np.int64)
        rows = np.repeat(np.arange(dense.shape[0]), np.diff(layer.weights.row_start))
        dense[rows, layer.weights.column] = layer.weights.value
        chain = next(chain for chain in program.chains if chain.layer == layer.name)
        sums = np.zeros((dense.shape[0], len(x)), dtype=np.int64)
        for number in chain.tasks:
            columns = slice(*program.tasks[number].columns)
            sums = sums + dense[:, columns] @ x.T[columns]
            largest = max(largest, _magnitude(sums))
        sums = sums + layer.bias[:, np.newaxis]
        largest = max(largest, _magnitude(sums))
        first = replace(program, accelerated=(layer.name,))
        x = reference_outputs(first, windows) if layer.name == "layer1" else x
    return largest


def _magnitude(sums: np.ndarray) -> int:
    """Largest value v for which a register of bit_length(v) + 1 bits is needed."""
    return int(max(sums.max(), -sums.min() - 1))


@pytest.mark.parametrize(
    "windows",
    [
        np.zeros((3, INPUTS + 1), dtype=np.uint8),
        np.zeros((3, INPUTS), dtype=np.int16),
        np.zeros(INPUTS, dtype=np.uint8),
    ],
)
def test_other_windows(windows: np.ndarray) -> None:
    with pytest.raises(InputWindowsError, match=r"uint8\[T, 6\], got"):
        arithmetic(small_program(0)).run(windows)


def test_no_frames() -> None:
    with pytest.raises(SimulationError, match="zero frames"):
        arithmetic(small_program(0)).run(random_windows(0, 0))


def test_column_without_a_stream() -> None:
    program = small_program(0)
    first = program.tasks[0]
    gap = tuple(
        Segment(part.stream, part.first, part.count - 1, part.destination)
        for part in first.segments
    )
    broken = replace(program, tasks=(replace(first, segments=gap), *program.tasks[1:]))
    with pytest.raises(ProgramFileError, match="no stream fills column 5 of a task of 6"):
        arithmetic(broken)


def test_chain_that_is_fed_by_a_later_one() -> None:
    program = small_program(5, host_layers=("layer3", "layer4", "layer5"))
    swapped = replace(program, chains=program.chains[::-1])
    with pytest.raises(ProgramFileError, match="feeds a chain before anything feeds it"):
        arithmetic(swapped).run(random_windows(1, 2))


def test_recurrent_chain_without_gate_inputs() -> None:
    program = small_program(0)
    chains = tuple(replace(chain, gate_chain=None) for chain in program.chains)
    with pytest.raises(ProgramFileError, match="no chain makes its gate inputs"):
        arithmetic(replace(program, chains=chains))


def test_fed_back_stream_of_the_other_direction() -> None:
    program = small_program(0)
    streams = {
        chain.direction: chain.output_stream
        for chain in program.chains
        if chain.role == "recurrent"
    }
    tasks = tuple(
        replace(
            task,
            segments=tuple(
                replace(part, stream=streams["backward"])
                if part.stream == streams["forward"]
                else part
                for part in task.segments
            ),
        )
        for task in program.tasks
    )
    with pytest.raises(ProgramFileError, match="carries no output of its direction"):
        arithmetic(replace(program, tasks=tasks))
