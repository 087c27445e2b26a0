"""Plans with cores but without weights: shapes of a network, split and placed on a grid."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.connections import connections_of
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.passes.place import place
from sparsespeech.compiler.passes.split import split
from sparsespeech.compiler.program import Chain, Mapping, Program, Tail, Task
from sparsespeech.compiler.slot_wheel import wires_of
from sparsespeech.graph import Graph, Linear, Lstm, deepspeech
from sparsespeech.model_file.model import IntegerModel

TABLE_II = {"paper": (2, 2, 2, 2), "interleaved": (2, 2, 2, 4)}  # row groups of layers 1 to 4


def placed_plan(
    graph: Graph, config: AcceleratorConfig, mapping: Mapping, row_groups: tuple[int, ...]
) -> Plan:
    """The first ``len(row_groups)`` layers of ``graph``, cut into as many row groups."""
    names = tuple(layer.name for layer in graph.layers[: len(row_groups)])
    model = cast(IntegerModel, SimpleNamespace(graph=graph))
    plan = Plan(model, config, mapping, accelerated=names)
    return place(split(replace(plan, row_groups=dict(zip(names, row_groups, strict=True)))))


def most_used_port(plan: Plan) -> int:
    """Slots that the streams of a port need: results of a recurrence all, any other stream one."""
    used: Counter[tuple[int, str]] = Counter()
    for one in connections_of(plan).connections:
        if one.alone:
            continue
        width = one.slots if one.in_loop else 1
        used[one.source, f"put {wires_of(one.kind)}"] += width
        for sink in one.sinks:
            heads = "heads" if sink in one.heads else wires_of(one.kind)
            used[sink, f"take {heads}"] += width
    return max(used.values())


def full_size(config: AcceleratorConfig, mapping: Mapping) -> Plan:
    """DeepSpeech of 2048 as in Table II of the MAU paper."""
    return placed_plan(deepspeech(2048), config, mapping, TABLE_II[mapping])


def tiny_network(inputs: int, hidden: int, cells: int, *, bidirectional: bool = True) -> Graph:
    """A linear layer and an LSTM."""
    return Graph(
        (
            Linear("layer1", inputs, hidden),
            Lstm("layer2", hidden, cells, bidirectional=bidirectional),
        )
    )


def program_of(plan: Plan) -> Program:
    """A routed plan as a program without words and tails: what pictures need."""
    tasks: list[Task] = []
    chains: list[Chain] = []
    none = np.zeros((0, 0), np.int32)
    for number, chain in enumerate(plan.chains):
        first = len(tasks)
        tasks += [
            Task(core, number, position, chain.matrix, columns, none, none, ())
            for position, (core, columns) in enumerate(zip(chain.cores, chain.slices, strict=True))
        ]
        chains.append(
            Chain(
                chain.name,
                chain.layer,
                chain.direction,
                chain.role,
                chain.row_group,
                tuple(range(first, len(tasks))),
                cast(Tail, None),
                chain.first_output,
                chain.outputs,
                plan.output_streams[number],
            )
        )
    return Program(
        plan.config,
        plan.mapping,
        plan.places,
        tuple(tasks),
        tuple(chains),
        plan.streams,
        plan.sequences,
        (),
        plan.accelerated,
        plan.model,
        plan.facts,
    )
