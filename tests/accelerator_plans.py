"""Plans and models for tests of the accelerator's compiler.

Axes: O outputs, I inputs, H cells. ``connected`` stands for the router: every producer gets a
stream that reaches its consumers, without links or slots, since the passes after it need none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.layer_shapes import matrix_shapes
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.passes.allocate_cores import allocate_cores
from sparsespeech.compiler.passes.place import place
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.compiler.passes.split import split
from sparsespeech.compiler.program import HOST, Mapping, Sequence, Sink, Stream
from sparsespeech.compiler.word_counts import entries_of_windows, words_of_row_groups
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file.model import (
    InputQuantization,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)

MatrixMaker = Callable[[int, int], SparseMatrix]


def empty_matrix(rows: int, columns: int) -> SparseMatrix:
    """A matrix with no nonzeros: a shape, whatever its size."""
    return SparseMatrix(
        (rows, columns),
        np.zeros(rows + 1, dtype=np.int64),
        np.empty(0, dtype=np.int32),
        np.empty(0, dtype=np.int8),
    )


def model_of_shapes(graph: Graph, matrix: MatrixMaker = empty_matrix) -> IntegerModel:
    """A model whose matrices come from ``matrix``; biases are 0 and every scale is 1/2."""
    return IntegerModel(
        graph=graph,
        layers=tuple(_layer(layer, matrix) for layer in graph.layers),
        labels=tuple("abc"),
        features=MfccConfig().to_json(),
        input=InputQuantization(np.zeros(26), np.ones(26), 1.0, 0),
        tables=model_tables(),
    )


def mapped(
    model: IntegerModel,
    config: AcceleratorConfig,
    mapping: Mapping,
    *,
    host_layers: tuple[str, ...] | None = None,
) -> Plan:
    """The plan after the passes from layers to cores."""
    plan = Plan(model, config, mapping, host_layers=host_layers)
    for step in (select_layers, allocate_cores, split, place):
        plan = step(plan)
    return plan


def connected(plan: Plan) -> Plan:
    """``plan`` with streams, sequences and word counts, as routing and packing would fill them."""
    streams: list[Stream] = []
    outputs: list[int | None] = []
    sequences: list[Sequence] = []
    first = plan.chains[0].layer

    def stream(name: str, source: int, frame: int, sinks: list[ChainPlan]) -> int:
        cores = tuple(Sink(core, 1) for chain in sinks for core in chain.cores)
        streams.append(Stream(name, "activations", source, cores, (0,), (), frame))
        return len(streams) - 1

    def consumers(layer: str, direction: str, *, role: str) -> list[ChainPlan]:
        return [
            chain
            for chain in plan.chains
            if chain.layer == layer
            and chain.role == role
            and direction in ("both", chain.direction)
        ]

    columns = plan.chains[0].slices[-1][1]
    stream("host", HOST, columns, [chain for chain in plan.chains if chain.layer == first])
    for number, chain in enumerate(plan.chains):
        if chain.role == "gate_input":
            outputs.append(stream(chain.name, chain.cores[-1], 4 * chain.outputs, []))
            continue
        following = plan.accelerated[plan.accelerated.index(chain.layer) + 1 :][:1]
        if chain.role == "recurrent":
            sinks = consumers(chain.layer, chain.direction, role="recurrent")
        elif following and consumers(following[0], "both", role="gate_input"):
            both = ["both"] if plan.mapping == "interleaved" else ["forward", "backward"]
            directions = [
                direction
                for direction in both
                if consumers(following[0], direction, role="gate_input")
            ]
            numbers = [
                stream(
                    f"{chain.name}.{direction}",
                    chain.cores[-1],
                    chain.outputs,
                    consumers(following[0], direction, role="gate_input"),
                )
                for direction in directions
            ]
            sequences.append(Sequence(number, tuple(numbers), tuple(directions), 100))
            outputs.append(None)
            continue
        else:
            sinks = consumers(following[0], "both", role="linear") if following else []
        outputs.append(stream(chain.name, chain.cores[-1], chain.outputs, sinks))
    return _counted(
        replace(
            plan,
            streams=tuple(streams),
            output_streams=tuple(outputs),
            sequences=tuple(sequences),
        )
    )


def _counted(plan: Plan) -> Plan:
    """Words by count alone, all starting at 0: what assembling and metrics read."""
    shapes = {
        shape.name: shape for layer in plan.model.graph.layers for shape in matrix_shapes(layer)
    }
    counts = []
    for chain in plan.chains:
        matrix = matrix_of(plan.model, chain.matrix)
        words = words_of_row_groups(
            entries_of_windows(matrix, chain.slices, plan.config),
            shapes[chain.matrix],
            plan.row_groups[chain.layer],
            plan.config,
        )[chain.row_group]
        counts.append(tuple(task.astype(np.int32) for task in words))
    starts = tuple(tuple(np.zeros_like(task) for task in chain) for chain in counts)
    return replace(plan, word_count=tuple(counts), word_start=starts)


def _layer(layer: Layer, matrix: MatrixMaker) -> IntegerLayer:
    if isinstance(layer, Linear):
        weights = matrix(layer.outputs, layer.inputs)
        return LinearLayer(layer.name, weights, _zeros(layer.outputs), _half(), 0, 0, 255)
    if isinstance(layer, Output):
        weights = matrix(layer.outputs, layer.inputs)
        return OutputLayer(layer.name, weights, _zeros(layer.outputs), np.ones(1, np.float32))
    assert isinstance(layer, Lstm)

    def direction() -> LstmDirection:
        rows = 4 * layer.cells
        return LstmDirection(
            matrix(rows, layer.inputs),
            matrix(rows, layer.recurrent_inputs),
            _zeros(rows),
            _zeros(rows),
            _half(),
            _half(),
        )

    return LstmLayer(
        layer.name, direction(), direction() if layer.bidirectional else None, layer.merge
    )


def _zeros(rows: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.zeros(rows, dtype=np.int64)


def _half() -> Requantizer:
    return Requantizer(np.array([1 << 15]), np.array([16]))
