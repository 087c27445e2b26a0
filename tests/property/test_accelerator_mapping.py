"""The compiler's mapping on random shapes and configurations: every weight has exactly one place.

Axes: N row groups of a task, R row lanes, K columns of a core.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.layer_shapes import matrix_shapes
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.program import Mapping
from sparsespeech.compiler.word_counts import entries_of_windows, words_of_streams
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from tests.accelerator_plans import connected, mapped, model_of_shapes
from tests.random_models import random_sparse_matrix

MAPPINGS: tuple[Mapping, ...] = get_args(Mapping)
SIZES = st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65]))


@st.composite
def configurations(draw: st.DrawFn) -> AcceleratorConfig:
    """Small cores on a grid that is large enough for any of the graphs below."""
    return AcceleratorConfig(
        name="random",
        device="none",
        grid_rows=draw(st.integers(60, 64)),
        grid_columns=draw(st.integers(60, 64)),
        cores=draw(st.integers(3500, 3600)),
        row_lanes=draw(st.sampled_from([4, 8])),
        windows=draw(st.sampled_from([1, 2, 4])),
        multipliers_per_window=draw(st.integers(1, 4)),
        window_columns=draw(st.sampled_from([16, 64])),
        weight_words=draw(st.integers(17, 100)),
        load_word_bytes=draw(st.sampled_from([1, 2, 4])),
        flit_bits=256,
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to three fully connected layers, an LSTM of one direction or two, or none."""
    layers: list[Layer] = []
    width = draw(SIZES)
    count = draw(st.integers(0, 3))
    for number in range(count):
        layers.append(Linear(f"layer{number}", width, draw(SIZES)))
        width = layers[-1].outputs
    if count == 0 or draw(st.booleans()):
        layers.append(Lstm("recurrent", width, draw(SIZES), draw(st.booleans())))
        width = layers[-1].outputs
    return Graph((*layers, Output("output", width, 4)))


@st.composite
def plans(draw: st.DrawFn, density: float = 0.1) -> Plan:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def matrix(rows: int, columns: int):
        return random_sparse_matrix(rng, (rows, columns), 1 - density)

    model = model_of_shapes(draw(graphs()), matrix)
    try:
        return mapped(model, draw(configurations()), draw(st.sampled_from(MAPPINGS)))
    except CompileError as error:  # four rows may hold more than the smallest memories
        assume("a single step of" not in str(error))
        raise


@settings(max_examples=20)
@given(plans())
def test_slices_cover_every_matrix_exactly_once(plan: Plan) -> None:
    covered = {
        shape.name: np.zeros((shape.rows, shape.columns), dtype=int)
        for layer in plan.model.graph.layers
        if layer.name in plan.accelerated
        for shape in matrix_shapes(layer)
    }
    for chain in plan.chains:
        rows = chain.rows[chain.rows >= 0]
        for start, stop in chain.slices:
            assert 0 < stop - start <= plan.config.columns
            covered[chain.matrix][np.ix_(rows, np.arange(start, stop))] += 1
    for name, count in covered.items():
        assert (count == 1).all(), name


@settings(max_examples=20)
@given(plans())
def test_lanes_hold_the_gates_of_a_unit_and_outputs_in_order(plan: Plan) -> None:
    for chain in plan.chains:
        units = matrix_of(plan.model, chain.matrix).shape[0]
        expected = []
        for step in range(chain.row_groups):
            for lane in range(plan.config.row_lanes):
                if chain.role == "linear":
                    unit, gate = step * plan.config.row_lanes + lane, 0
                else:
                    unit, gate = step * (plan.config.row_lanes // 4) + lane // 4, lane % 4
                row = gate * (units // 4) + chain.first_output + unit
                expected.append(row if unit < chain.outputs else -1)
        assert chain.rows.reshape(-1).tolist() == expected
        assert chain.rows.dtype == np.int32


@settings(max_examples=20)
@given(plans())
def test_every_core_has_one_matrix_slice_or_that_of_both_directions(plan: Plan) -> None:
    held: dict[int, list[tuple[str, tuple[int, int], str, int]]] = {}
    for chain in plan.chains:
        for core, columns in zip(chain.cores, chain.slices, strict=True):
            held.setdefault(core, []).append(
                (chain.role, columns, chain.direction, chain.row_group)
            )
    assert max(held) < plan.config.cores
    bidirectional = any(chain.direction == "backward" for chain in plan.chains)
    for tasks in held.values():
        recurrent = tasks[0][0] != "linear"
        shared = plan.mapping == "interleaved" and bidirectional and recurrent
        assert len(tasks) == (2 if shared else 1)
        if shared:
            assert len({(role, columns, group) for role, columns, _, group in tasks}) == 1
            assert {direction for _, _, direction, _ in tasks} == {"forward", "backward"}


@settings(max_examples=20)
@given(plans())
def test_partial_sums_and_gate_inputs_travel_one_link(plan: Plan) -> None:
    def distance(first: int, second: int) -> int:
        ends = zip(plan.places[first], plan.places[second], strict=True)
        return sum(abs(one - other) for one, other in ends)

    tails: dict[tuple[str, int], list[int]] = {}
    for chain in plan.chains:
        assert all(
            distance(first, second) == 1
            for first, second in zip(chain.cores, chain.cores[1:], strict=False)
        )
        if chain.role != "linear":
            tails.setdefault((chain.direction, chain.row_group), []).append(chain.cores[-1])
    assert all(distance(*pair) == 1 for pair in tails.values())
    assert len(set(plan.places)) == len(plan.places) == plan.config.cores


@settings(max_examples=20)
@given(plans(density=0.4))
def test_words_fit_the_memory_of_every_core(plan: Plan) -> None:
    words: Counter[tuple[int, int, int]] = Counter()
    steps: Counter[int] = Counter()
    for chain in plan.chains:
        entries = entries_of_windows(matrix_of(plan.model, chain.matrix), chain.slices, plan.config)
        entries = np.concatenate([entries, 0 * entries[:1]])
        needed = words_of_streams(entries[chain.rows], plan.config.multipliers_per_window)
        for position, core in enumerate(chain.cores):
            steps[core] += chain.row_groups
            for (lane, window), count in np.ndenumerate(needed[:, position]):
                words[core, lane, window] += int(count)
    assert max(words.values()) <= plan.config.weight_words
    assert max(steps.values()) <= plan.config.weight_words


@settings(max_examples=20)
@given(plans())
def test_segments_fill_every_column_with_its_activation(plan: Plan) -> None:
    program = assemble(connected(plan))
    layers = {layer.name: layer for layer in plan.model.graph.layers}
    sequences = {sequence.chain: sequence for sequence in program.sequences}
    frames: dict[int, np.ndarray] = {}  # content of each stream: the number of each activation
    for number, chain in enumerate(program.chains):
        outputs = chain.first_output + np.arange(chain.outputs)
        owned = [chain.output_stream] if number not in sequences else sequences[number].streams
        for stream in owned:
            assert stream is not None
            frames[stream] = outputs
    for stream, circuit in enumerate(program.streams):
        if circuit.source == -1:
            frames[stream] = np.arange(circuit.frame)
    for task in program.tasks:
        chain = program.chains[task.chain]
        layer = layers[chain.layer]
        width = layer.cells if chain.role == "recurrent" else layer.inputs
        store = np.full(task.columns[1] - task.columns[0], -1)
        for segment in task.segments:
            target = slice(segment.destination, segment.destination + segment.count)
            assert (store[target] == -1).all()
            store[target] = frames[segment.stream][segment.first :][: segment.count]
            assert task.core in {sink.core for sink in program.streams[segment.stream].sinks}
        assert store.tolist() == list(range(*task.columns))
        assert task.columns[1] <= width
