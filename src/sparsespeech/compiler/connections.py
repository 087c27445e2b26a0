"""Which streams a placed plan needs: who sends to whom, and how much of the wheel each wants.

Each entry of ``Connections.connections`` becomes the stream of the same number. Chains that end in
one core (interleaved mapping) share its streams.

- activations: host to the first layer; linear tails to the cores that hold their outputs as
  columns; the sequence memories of the last linear layer to the input cores, with heads for the
  recurrent ones; recurrent tails back to the recurrent cores of their direction, and to the host
- partial sums and gate inputs: between neighbours, all slots of their links
- credits: from the tail of each consumer to the sources of its frames (T11, T12)
- order: from the first sequence memory to the others, where one stream carries both directions
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.program import HOST, StreamKind
from sparsespeech.compiler.program import Sequence as SequenceMemory
from sparsespeech.compiler.stream_graph import slots_for_frame, slots_for_rate
from sparsespeech.errors import CompileError

Order = Literal["forward", "backward", "both"]


@dataclass(frozen=True)
class Connection:
    """A stream without its circuit."""

    name: str
    kind: StreamKind
    source: int
    sinks: tuple[int, ...]  # cores in path order, the host last
    slots: int  # wanted of the wheel
    most_slots: int = 0  # given if they are left over; more are of no use
    frame: int = 0  # activations of a frame
    heads: tuple[int, ...] = ()  # sinks that take only the heads of the frames
    least_slots: int = 1  # fewer slow the whole network down
    patience: int = 0  # the more, the less is lost if it gets fewer slots than it wants
    group: str = ""  # streams of the same group have like sinks
    in_loop: bool = False  # fed back: its way is part of every step of the recurrence
    alone: bool = False  # holds its links in all slots


@dataclass
class Connections:
    """All streams of a plan, and who uses them."""

    connections: list[Connection] = field(default_factory=list)
    output_streams: dict[int, int] = field(default_factory=dict)  # a chain's number: its stream
    sequences: list[SequenceMemory] = field(default_factory=list)

    def add(self, connection: Connection) -> int:
        """The number of the stream."""
        self.connections.append(connection)
        return len(self.connections) - 1


def connections_of(plan: Plan) -> Connections:
    """The streams of a plan whose chains have cores.

    Raises CompileError if the sequence memory does not hold a single frame.
    """
    found = Connections()
    linear = _linear_layers(plan.chains)
    inputs = _of_role(plan.chains, "gate_input")
    _add_neighbours(found, plan)
    _add_host_frames(found, plan, linear)
    for producers, consumers in itertools.pairwise(linear):
        _add_linear_outputs(found, plan, producers, consumers)
    if linear and inputs:
        _add_sequences(found, plan, linear[-1])
    elif linear:
        _add_linear_outputs(found, plan, linear[-1], [])
    _add_recurrent_outputs(found, plan)
    _add_credits(found, plan, [*linear, inputs])
    return found


def _linear_layers(chains: Sequence[ChainPlan]) -> list[list[int]]:
    """Numbers of the chains of each linear layer, in the order of the layers."""
    names = dict.fromkeys(chain.layer for chain in chains if chain.role == "linear")
    return [[n for n, chain in enumerate(chains) if chain.layer == name] for name in names]


def _of_role(chains: Sequence[ChainPlan], role: str) -> list[int]:
    return [number for number, chain in enumerate(chains) if chain.role == role]


def _tail(chain: ChainPlan) -> int:
    return chain.cores[-1]


def _by_tail(plan: Plan, numbers: Iterable[int]) -> dict[int, list[int]]:
    """Chains that end in the same core, by core."""
    tails: dict[int, list[int]] = {}
    for number in numbers:
        tails.setdefault(_tail(plan.chains[number]), []).append(number)
    return tails


def _holders(producer: ChainPlan, consumers: Iterable[ChainPlan]) -> tuple[int, ...]:
    """Cores of ``consumers`` with a column that ``producer`` makes, in path order."""
    stop = producer.first_output + producer.outputs
    return tuple(
        sorted(
            {
                core
                for chain in consumers
                for core, (first, last) in zip(chain.cores, chain.slices, strict=True)
                if first < stop and producer.first_output < last
            }
        )
    )


def _pass_cycles(chains: Iterable[ChainPlan], config: AcceleratorConfig) -> int:
    """Load and one row group a cycle, of the fastest chain."""
    return min(
        chain.row_groups + max(config.load_cycles(last - first) for first, last in chain.slices)
        for chain in chains
    )


def _frame_cycles(plan: Plan) -> int:
    """Cycles that the slowest core computes for a frame: the network cannot take them faster."""
    tails = _by_tail(plan, range(len(plan.chains)))
    return max(
        sum(_pass_cycles([plan.chains[number]], plan.config) for number in ended)
        for ended in tails.values()
    )


def _add_neighbours(found: Connections, plan: Plan) -> None:
    known: dict[tuple[str, int, int], int] = {}
    recurrent = {
        (chain.layer, chain.direction, chain.row_group): _tail(chain)
        for chain in plan.chains
        if chain.role == "recurrent"
    }
    for number, chain in enumerate(plan.chains):
        pairs: list[tuple[StreamKind, int, int]] = [
            ("partial_sums", start, stop)
            for start, stop in zip(chain.cores, chain.cores[1:], strict=False)
        ]
        if chain.role == "gate_input":
            tail = recurrent[chain.layer, chain.direction, chain.row_group]
            pairs.append(("gate_inputs", _tail(chain), tail))
        for key in pairs:
            if key not in known:
                kind, start, stop = key
                name = f"{kind.replace('_', ' ')} of {chain.name}, core {start} to {stop}"
                slots = plan.config.slots
                known[key] = found.add(Connection(name, kind, start, (stop,), slots, alone=True))
        if chain.role == "gate_input":
            found.output_streams[number] = known[pairs[-1]]


def _add_host_frames(found: Connections, plan: Plan, linear: Sequence[Sequence[int]]) -> None:
    """The host feeds the first layer, or in a sequence's place the LSTM."""
    inputs = [plan.chains[number] for number in _of_role(plan.chains, "gate_input")]
    if linear:
        first = [plan.chains[number] for number in linear[0]]
        _add_frames_of_host(found, plan, first, (), f"host to {first[0].layer}")
        return
    for order in _orders(plan):
        chains = [chain for chain in inputs if order in ("both", chain.direction)]
        name = f"host to {chains[0].layer}, {order}"
        _add_frames_of_host(found, plan, chains, _recurrent_cores(plan, order), name)


def _add_frames_of_host(
    found: Connections,
    plan: Plan,
    chains: Sequence[ChainPlan],
    heads: tuple[int, ...],
    name: str,
) -> None:
    cores = {core for chain in chains for core in chain.cores}
    frame = max(last for chain in chains for _, last in chain.slices)
    found.add(
        Connection(
            name=name,
            kind="activations",
            source=HOST,
            sinks=tuple(sorted(cores | set(heads))),
            slots=slots_for_frame(plan.config, frame, _pass_cycles(chains, plan.config) // 2),
            least_slots=slots_for_frame(plan.config, frame, _frame_cycles(plan)),
            most_slots=plan.config.slots,
            frame=frame,
            heads=heads,
            patience=2,
        )
    )


def _add_linear_outputs(
    found: Connections, plan: Plan, producers: Sequence[int], consumers: Sequence[int]
) -> None:
    """To the next layer, or without one to the host."""
    next_layer = [plan.chains[number] for number in consumers]
    target = next_layer[0].layer if next_layer else "host"
    for number in producers:
        chain = plan.chains[number]
        found.output_streams[number] = found.add(
            Connection(
                name=f"{chain.name} to {target}",
                kind="activations",
                source=_tail(chain),
                sinks=_holders(chain, next_layer) or (HOST,),
                slots=slots_for_rate(plan.config, plan.config.row_lanes),
                least_slots=slots_for_frame(plan.config, chain.outputs, _frame_cycles(plan)),
                most_slots=slots_for_rate(plan.config, plan.config.row_lanes),
                frame=chain.outputs,
                patience=2,
                group=f"{chain.layer} to {target}",
            )
        )


def _orders(plan: Plan) -> tuple[Order, ...]:
    """Orders in which the streams of a sequence carry frames, one a stream."""
    directions = {chain.direction for chain in plan.chains if chain.role == "gate_input"}
    if plan.mapping == "interleaved" and len(directions) == 2:
        return ("both",)
    return ("forward", "backward") if "backward" in directions else ("forward",)


def _recurrent_cores(plan: Plan, order: Order) -> tuple[int, ...]:
    return tuple(
        sorted(
            {
                core
                for chain in plan.chains
                if chain.role == "recurrent" and order in ("both", chain.direction)
                for core in chain.cores
            }
        )
    )


def _add_sequences(found: Connections, plan: Plan, producers: Sequence[int]) -> None:
    chains = sorted(producers, key=lambda number: plan.chains[number].first_output)
    frame = sum(plan.chains[number].outputs for number in chains)
    frames = plan.config.sequence_bytes // frame
    if frames == 0:
        raise CompileError(
            f"{plan.chains[chains[0]].layer}: a frame of {frame} outputs does not fit the sequence "
            f"memory of {plan.config.sequence_bytes} bytes; raise sequence_bytes with --config"
        )
    orders = _orders(plan)
    turns = None
    if orders == ("both",) and len(chains) > 1:
        first, *others = (_tail(plan.chains[number]) for number in chains)
        turns = found.add(Connection("order of frames", "order", first, tuple(sorted(others)), 1))
    for number in chains:
        streams = tuple(
            _add_sequence_stream(found, plan, number, chains, order) for order in orders
        )
        found.sequences.append(SequenceMemory(number, streams, orders, frames, turns))


def _add_sequence_stream(
    found: Connections, plan: Plan, number: int, sequences: Sequence[int], order: Order
) -> int:
    producer = plan.chains[number]
    inputs = [
        chain
        for chain in plan.chains
        if chain.role == "gate_input" and order in ("both", chain.direction)
    ]
    cores = _holders(producer, inputs)
    heads = tuple(
        core
        for core in _recurrent_cores(plan, order)
        if number == min(sequences, key=lambda one: _distance(plan, _tail(plan.chains[one]), core))
    )
    cycles = _pass_cycles(inputs, plan.config) // 2
    turns = 2 if order == "both" else 1
    return found.add(
        Connection(
            name=f"{producer.name} to {inputs[0].layer}, {order}",
            kind="activations",
            source=_tail(producer),
            sinks=tuple(sorted({*cores, *heads})),
            slots=slots_for_frame(plan.config, producer.outputs, cycles),
            least_slots=slots_for_frame(
                plan.config, producer.outputs, _frame_cycles(plan) // turns
            ),
            most_slots=plan.config.slots,
            frame=producer.outputs,
            heads=heads,
            # all wait for the first backward frame, and for the last forward one after long passes
            group=f"{producer.layer} to {inputs[0].layer}, {order}",
            patience=3 if order == "forward" and len(_orders(plan)) == 2 else 1,
        )
    )


def _distance(plan: Plan, one: int, other: int) -> int:
    """Links between two cores: recurrent cores take heads from the nearest sequence."""
    (row, column), (other_row, other_column) = plan.places[one], plan.places[other]
    return abs(row - other_row) + abs(column - other_column)


def _add_recurrent_outputs(found: Connections, plan: Plan) -> None:
    numbers = _of_role(plan.chains, "recurrent")
    for source, ended in _by_tail(plan, numbers).items():
        chains = [plan.chains[number] for number in ended]
        cores: set[int] = set()
        for chain in chains:
            same = [plan.chains[n] for n in numbers if plan.chains[n].direction == chain.direction]
            cores |= set(_holders(chain, same))
        stream = found.add(
            Connection(
                name=f"outputs of {' and '.join(chain.name for chain in chains)}",
                kind="activations",
                source=source,
                sinks=(*sorted(cores), HOST),
                slots=slots_for_rate(plan.config, plan.config.row_lanes / 4),
                most_slots=plan.config.slots // 2,
                frame=max(chain.outputs for chain in chains),
                group=" ".join(["outputs", *(chain.direction for chain in chains)]),
                in_loop=True,
            )
        )
        found.output_streams.update(dict.fromkeys(ended, stream))


def _add_credits(found: Connections, plan: Plan, layers: Sequence[Sequence[int]]) -> None:
    """``layers``: chains of each layer in order; the first is fed by the host."""
    sources: list[list[ChainPlan]] = [[]]
    sources += [[plan.chains[number] for number in layer] for layer in layers[:-1]]
    for feeding, consumers in zip(sources, layers, strict=True):
        for tail, ended in _by_tail(plan, consumers).items():
            chains = [plan.chains[number] for number in ended]
            targets = {_tail(source) for source in feeding if _holders(source, chains)}
            sinks = tuple(sorted(targets)) or (HOST,)
            name = f"credits of {' and '.join(chain.name for chain in chains)}"
            group = f"credits of {chains[0].layer}"
            found.add(Connection(name, "credits", tail, sinks, 1, group=group))
