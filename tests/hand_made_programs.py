"""Accelerator programs made by hand, for tests of timing: no model, no weights, no compiler.

Cores lie on the snake path in the order of the chains; hops are distances on the grid. Streams get
slots of the wheel so that those of one source differ; links are left out, as timing needs none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import (
    HOST,
    Chain,
    Mapping,
    Program,
    Segment,
    Sequence,
    Sink,
    Stream,
    Tail,
    Task,
)

SlotChoice = Callable[[str, int], list[tuple[int, ...]]]


@dataclass(frozen=True)
class Layer:
    """A linear layer: outputs, and chains that share them."""

    outputs: int
    row_groups: int


def even_slots(wheel: int, counts: dict[str, int]) -> SlotChoice:
    """Evenly spaced slots: so many for a stream of each kind, disjoint for one source."""

    def choose(kind: str, streams: int) -> list[tuple[int, ...]]:
        count = counts[kind]
        step = wheel // count
        assert streams <= step
        return [tuple(range(offset, wheel, step)) for offset in range(streams)]

    return choose


class Builder:
    """Collects tasks, chains and streams."""

    def __init__(self, config: AcceleratorConfig, slots: SlotChoice, stretch: int = 1) -> None:
        self.config = config
        self.slots = slots
        self.stretch = stretch  # of the distances between cores
        self.places = []
        for row in range(config.grid_rows):
            columns = range(config.grid_columns)
            self.places += [(row, c) for c in (columns if row % 2 == 0 else reversed(columns))]
        self.chains: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.streams: list[dict[str, Any]] = []
        self.sequences: list[Sequence] = []
        self.next_core = 0

    def cores(self, count: int) -> list[int]:
        """The next cores on the path."""
        first = self.next_core
        self.next_core += count
        assert self.next_core <= len(self.places)
        return list(range(first, first + count))

    def hops(self, source: int, sink: int) -> int:
        """Links between two cores, or a core and the host beside core 0."""
        row, column = self.places[max(source, 0)]
        other_row, other_column = self.places[max(sink, 0)]
        distance = abs(row - other_row) + abs(column - other_column)
        return (distance + (HOST in (source, sink))) * self.stretch

    def slices(self, columns: int) -> list[tuple[int, int]]:
        """Nearly equal column slices that fit a core."""
        count = math.ceil(columns / self.config.columns)
        edges = [columns * i // count for i in range(count + 1)]
        return list(pairwise(edges))

    def chain(
        self, role: str, direction: str, columns: int, outputs: range, cores: list[int], **more: Any
    ) -> int:
        """A chain of one task a core; its number."""
        tasks = []
        for core, (start, stop) in zip(cores, self.slices(columns), strict=True):
            tasks.append(len(self.tasks))
            self.tasks.append({"core": core, "columns": (start, stop), "segments": []})
        self.chains.append(
            {
                "role": role,
                "direction": direction,
                "tasks": tasks,
                "outputs": outputs,
                "stream": None,
                "gate": None,
                **more,
            }
        )
        return len(self.chains) - 1

    def tail_core(self, chain: int) -> int:
        """Core of the last task."""
        return self.tasks[self.chains[chain]["tasks"][-1]]["core"]

    def stream(self, kind: str, source: int, frame: int = 0) -> int:
        """A stream without sinks so far; its number."""
        self.streams.append({"kind": kind, "source": source, "frame": frame, "sinks": {}})
        return len(self.streams) - 1

    def sink(self, stream: int, core: int) -> None:
        """One more end of a stream."""
        entry = self.streams[stream]
        entry["sinks"][core] = self.hops(entry["source"], core)

    def feed(self, stream: int, outputs: range, chain: int) -> None:
        """Tasks of ``chain`` store what of ``stream`` lies in their columns."""
        for number in self.chains[chain]["tasks"]:
            task = self.tasks[number]
            start, stop = (
                max(task["columns"][0], outputs[0]),
                min(task["columns"][1], outputs[-1] + 1),
            )
            if start < stop:
                task["segments"].append(
                    Segment(stream, start - outputs[0], stop - start, start - task["columns"][0])
                )
                self.sink(stream, task["core"])

    def neighbours(self, kind: str, chain: int, to: int | None = None) -> None:
        """Links of partial sums along a chain, or of gate inputs between two tails."""
        cores = [self.tasks[task]["core"] for task in self.chains[chain]["tasks"]]
        ends = [self.tail_core(chain), self.tail_core(to)] if to is not None else cores
        known = {(s["kind"], s["source"], sink) for s in self.streams for sink in s["sinks"]}
        for source, sink in pairwise(ends):
            if (kind, source, sink) not in known:  # both directions of a core share them
                self.sink(self.stream(kind, source), sink)

    def credits(self, chain: int) -> None:
        """The credit stream of a tail, to all sources of its frames; one a core."""
        core = self.tail_core(chain)
        if any(s["kind"] == "credits" and s["source"] == core for s in self.streams):
            return
        stream = self.stream("credits", core)
        for number in self.chains[chain]["tasks"]:
            for segment in self.tasks[number]["segments"]:
                self.sink(stream, self.streams[segment.stream]["source"])

    def output_stream(self, chain: int) -> int:
        """The stream of a tail's outputs; both directions of a core share it."""
        core = self.tail_core(chain)
        for other in self.chains[:chain]:
            if other["stream"] is not None and self.tasks[other["tasks"][-1]]["core"] == core:
                self.chains[chain]["stream"] = other["stream"]
                return int(other["stream"])
        stream = self.stream("activations", core, len(self.chains[chain]["outputs"]))
        self.chains[chain]["stream"] = stream
        return stream

    def program(self, mapping: Mapping) -> Program:
        """Everything put together."""
        by_source: dict[tuple[str, int], list[int]] = {}
        for index, entry in enumerate(self.streams):
            by_source.setdefault((entry["kind"], entry["source"]), []).append(index)
        slots: dict[int, tuple[int, ...]] = {}
        for (kind, _), group in by_source.items():
            slots.update(zip(group, self.slots(kind, len(group)), strict=False))
        streams = tuple(
            Stream(
                f"{entry['kind']}.{index}",
                entry["kind"],
                entry["source"],
                tuple(Sink(core, hops) for core, hops in entry["sinks"].items()),
                slots[index],
                (),
                entry["frame"],
            )
            for index, entry in enumerate(self.streams)
        )
        lanes = np.zeros((self.config.row_lanes, self.config.windows), dtype=np.int32)
        position = {task: at for chain in self.chains for at, task in enumerate(chain["tasks"])}
        owner = {task: n for n, chain in enumerate(self.chains) for task in chain["tasks"]}
        return Program(
            self.config,
            mapping,
            tuple(self.places),
            tuple(
                Task(
                    entry["core"],
                    owner[number],
                    position[number],
                    "",
                    entry["columns"],
                    lanes,
                    lanes,
                    tuple(entry["segments"]),
                )
                for number, entry in enumerate(self.tasks)
            ),
            tuple(self._finish(number) for number in range(len(self.chains))),
            streams,
            tuple(self.sequences),
            (),
            (),
            cast(Any, None),
            {},
        )

    def _finish(self, number: int) -> Chain:
        entry = self.chains[number]
        lanes = self.config.row_lanes
        linear = entry["role"] == "linear"
        rows = len(entry["outputs"]) * (1 if linear else 4)
        table = np.full(-(-rows // lanes) * lanes, -1, dtype=np.int32)
        table[:rows] = np.arange(rows)
        table = table.reshape(-1, lanes)
        zeros = np.zeros(table.shape, dtype=np.int64)
        return Chain(
            f"chain{number}",
            entry.get("layer", ""),
            entry["direction"],
            entry["role"],
            0,
            tuple(entry["tasks"]),
            Tail(table, zeros, zeros, zeros),
            entry["outputs"][0],
            len(entry["outputs"]),
            entry["stream"],
            entry["gate"],
        )


def split_range(count: int, parts: int) -> list[range]:
    """0 .. count-1 in nearly equal parts."""
    edges = [count * i // parts for i in range(parts + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def build_program(
    config: AcceleratorConfig,
    mapping: Mapping,
    inputs: int,
    layers: list[Layer],
    hidden: int,
    row_groups: int,
    slots: SlotChoice,
    *,
    places: int = 4096,
    stretch: int = 1,
    directions: tuple[str, ...] = ("forward", "backward"),
) -> Program:
    """Linear ``layers``, then an LSTM of ``hidden`` units; hidden 0: the last layer to the host.

    ``row_groups`` of the LSTM: of each direction (paper) or of both (interleaved).
    """
    builder = Builder(config, slots, stretch)
    sources: list[tuple[int, range]] = []  # a stream or (last layer) a chain, and its outputs
    if layers:
        sources = [(builder.stream("activations", HOST, inputs), range(inputs))]
    width = inputs
    for depth, layer in enumerate(layers):
        chains = []
        for outputs in split_range(layer.outputs, layer.row_groups):
            cores = builder.cores(len(builder.slices(width)))
            chain = builder.chain("linear", "", width, outputs, cores)
            builder.neighbours("partial_sums", chain)
            for stream, held in sources:
                builder.feed(stream, held, chain)
            builder.credits(chain)
            chains.append((chain, outputs))
        width = layer.outputs
        sources = []
        for chain, outputs in chains:
            if depth < len(layers) - 1 or not hidden:
                stream = builder.stream("activations", builder.tail_core(chain), len(outputs))
                builder.chains[chain]["stream"] = stream
                sources.append((stream, outputs))
            else:
                sources.append((chain, outputs))
    if hidden:
        _recurrent(builder, mapping, sources, width, hidden, row_groups, places, directions)
    else:
        for stream, _ in sources:
            builder.sink(stream, HOST)
    return builder.program(mapping)


def _recurrent(
    builder: Builder,
    mapping: Mapping,
    sources: list[tuple[int, range]],
    width: int,
    hidden: int,
    row_groups: int,
    places: int,
    directions: tuple[str, ...],
) -> None:
    shared = mapping == "interleaved"
    x_streams = _x_streams(builder, shared, sources or [(HOST, range(width))], places, directions)
    x_count, h_count = len(builder.slices(width)), len(builder.slices(hidden))
    used: dict[int, list[int]] = {}
    recurrent: dict[str, list[int]] = {direction: [] for direction in directions}
    for direction in directions:
        for group, units in enumerate(split_range(hidden, row_groups)):
            if not shared or group not in used:
                used[group] = builder.cores(x_count + h_count)
            cores = used[group]
            gates = builder.chain("gate_input", direction, width, units, cores[:x_count])
            back = cores[x_count:][::-1]
            chain = builder.chain("recurrent", direction, hidden, units, back, gate=gates)
            recurrent[direction].append(chain)
            builder.neighbours("partial_sums", gates)
            builder.neighbours("partial_sums", chain)
            builder.neighbours("gate_inputs", gates, chain)
            for stream, outputs in x_streams[direction]:
                builder.feed(stream, outputs, gates)
            for task in builder.chains[chain]["tasks"]:
                builder.sink(x_streams[direction][0][0], builder.tasks[task]["core"])
            builder.credits(gates)
            output = builder.output_stream(chain)
            builder.sink(output, HOST)
    for direction in directions:
        for source in recurrent[direction]:
            entry = builder.chains[source]
            for chain in recurrent[direction]:
                builder.feed(entry["stream"], entry["outputs"], chain)


def _x_streams(
    builder: Builder,
    shared: bool,
    sources: list[tuple[int, range]],
    places: int,
    directions: tuple[str, ...],
) -> dict[str, list[tuple[int, range]]]:
    """The streams out of the sequence memories, or out of the host, of each direction."""
    streams: dict[str, list[tuple[int, range]]] = {direction: [] for direction in directions}
    order = None
    for chain, outputs in sources:
        core = HOST if chain == HOST else builder.tail_core(chain)
        made = [builder.stream("activations", core, len(outputs))]
        made = made * len(directions) if shared else made
        while len(made) < len(directions):
            made.append(builder.stream("activations", core, len(outputs)))
        for direction, stream in zip(directions, made, strict=True):
            streams[direction].append((stream, outputs))
        if chain == HOST:
            continue
        if shared and len(sources) > 1:
            if order is None:
                order = builder.stream("order", core)
            else:
                builder.sink(order, core)
        kept, served = (tuple(made), directions) if not shared else ((made[0],), ("both",))
        builder.sequences.append(Sequence(chain, kept, cast(Any, served), places, order))
    return streams


def uniform_row_ends(program: Program) -> list[np.ndarray]:
    """One word a row, [R, Q, N] a task."""
    config = program.config
    return [
        np.broadcast_to(
            np.arange(program.chains[task.chain].row_groups, dtype=np.int32),
            (config.row_lanes, config.windows, program.chains[task.chain].row_groups),
        )
        for task in program.tasks
    ]
