"""What is proved of every program, before it is written and after it is read: rules P6, P8, P9.

Axes: N row groups, R row lanes, Q windows. Rows, columns, cores, words and tails follow from the
model, the configuration and the number of row groups; they are compiled again and compared. The
circuits were searched for, so they are proved to keep the rules of the network instead.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from sparsespeech.compiler.circuit_check import check_circuits
from sparsespeech.compiler.connections import Connections, connections_of
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.passes.bound_sums import bound_sums
from sparsespeech.compiler.passes.pack_words import pack_words
from sparsespeech.compiler.passes.place import place
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.compiler.passes.split import split
from sparsespeech.compiler.program import Program, Stream
from sparsespeech.compiler.stream_graph import prove_acyclic
from sparsespeech.errors import CompileError, ProgramFileError
from sparsespeech.model_file.canonical_json import shown


def prove_program(program: Program) -> None:
    """Raise ProgramFileError, naming entry and rule, unless the program computes its model."""
    try:
        plan = _compiled_again(program)
        connections = connections_of(plan)
    except CompileError as error:
        raise ProgramFileError(
            f"program: does not follow from its model: {error} (rule P8)"
        ) from None
    _prove_streams(program, connections, plan)
    expected = assemble(
        replace(
            plan,
            streams=program.streams,
            output_streams=tuple(
                connections.output_streams.get(chain) for chain in range(len(plan.chains))
            ),
            sequences=tuple(connections.sequences),
        )
    )
    for name in ("accelerated", "places", "sequences", "chains", "tasks", "words"):
        _compare(getattr(program, name), getattr(expected, name), name)


def _compiled_again(program: Program) -> Plan:
    """The plan of the same model for the same row groups, up to the weight words."""
    names = [layer.name for layer in program.model.graph.layers]
    host = tuple(names[len(program.accelerated) :])
    plan = Plan(program.model, program.config, program.mapping, host_layers=host)
    plan = select_layers(plan)
    _compare(program.accelerated, plan.accelerated, "accelerated")
    groups = dict.fromkeys(plan.accelerated, 0)
    for number, chain in enumerate(program.chains):
        if chain.layer not in groups:
            raise ProgramFileError(
                f"chains.{number}.layer: {shown(chain.layer)} is not accelerated (rule P8)"
            )
        groups[chain.layer] += chain.row_group >= groups[chain.layer]
    if 0 in groups.values():
        layer = min(name for name, count in groups.items() if count == 0)
        raise ProgramFileError(f"chains: layer {layer!r} has none (rule P8)")
    plan = place(split(replace(plan, row_groups=groups)))
    return pack_words(bound_sums(plan))


def _prove_streams(program: Program, connections: Connections, plan: Plan) -> None:
    """Rule P9: the streams that the chains need, on circuits that never meet."""
    wanted = connections.connections
    if len(program.streams) != len(wanted):
        raise ProgramFileError(
            f"streams: {len(program.streams)}, the program's chains need {len(wanted)} (rule P9)"
        )
    for number, (stream, connection) in enumerate(zip(program.streams, wanted, strict=True)):
        for name in ("name", "kind", "source", "frame"):
            _compare(
                getattr(stream, name), getattr(connection, name), f"streams.{number}.{name}", "P9"
            )
        sinks = tuple(sink.core for sink in stream.sinks)
        _compare(sinks, connection.sinks, f"streams.{number}.sinks", "P9")
        _prove_slots(stream, number, program.config.slots, alone=connection.alone)
    try:
        heads = [connection.heads for connection in wanted]
        check_circuits(program.streams, plan.places, program.config, heads)
        tails = {chain.cores[-1] for chain in plan.chains if chain.role == "recurrent"}
        prove_acyclic(program.streams, tails)
    except CompileError as error:
        raise ProgramFileError(f"{error} (rule P9)") from None


def _prove_slots(stream: Stream, number: int, slots: int, *, alone: bool) -> None:
    places = [(f"streams.{number}.slots", stream.slots)]
    places += [
        (f"streams.{number}.links.{link}.slots", stream.links[link].slots)
        for link in range(len(stream.links))
    ]
    for where, given in places:
        rising = list(given) == sorted(set(given)) and all(0 <= slot < slots for slot in given)
        if not given or not rising or (alone and len(given) != slots):
            wanted = f"all {slots} slots" if alone else f"rising slots of 0..{slots - 1}"
            raise ProgramFileError(f"{where}: must be {wanted}, got {shown(given)} (rule P9)")


def _compare(found: Any, expected: Any, path: str, rule: str = "P8") -> None:
    """Raise ProgramFileError for the first difference of two values of ``program.py``."""
    if isinstance(expected, np.ndarray):
        _compare_arrays(found, expected, path, rule)
    elif isinstance(expected, tuple):
        if len(found) != len(expected):
            raise ProgramFileError(
                f"{path}: has {len(found)} entries, the model needs {len(expected)} (rule {rule})"
            )
        for place, pair in enumerate(zip(found, expected, strict=True)):
            _compare(*pair, f"{path}.{place}", rule)
    elif is_dataclass(expected):
        for field in fields(expected):
            pair = getattr(found, field.name), getattr(expected, field.name)
            _compare(*pair, f"{path}.{field.name}", rule)
    elif found != expected:
        raise ProgramFileError(
            f"{path}: is {shown(found)}, the model needs {shown(expected)} (rule {rule})"
        )


def _compare_arrays(found: Any, expected: Any, path: str, rule: str) -> None:
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise ProgramFileError(
            f"{path}: is {found.dtype.name}{list(found.shape)}, the model needs "
            f"{expected.dtype.name}{list(expected.shape)} (rule {rule})"
        )
    different = np.argwhere(found != expected)
    if different.size:
        entry = tuple(int(place) for place in different[0])
        raise ProgramFileError(
            f"{path}: entry {list(entry)} is {found[entry]}, the model needs {expected[entry]} "
            f"(rule {rule})"
        )
