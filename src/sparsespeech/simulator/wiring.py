"""What a program's tasks and streams say about time: blocks, who feeds whom, who waits for whom.

A *block* is a set of chains that share cores or hand gate inputs to each other; its cores are
listed in an order in which results flow forward (``timing.md``). No axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import (
    HOST,
    Chain,
    Program,
    Sequence,
    Stream,
    StreamKind,
)
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.core import NeighbourLink

Direction = Literal["forward", "backward"]
Order = Literal["forward", "backward", "both"]


@dataclass(frozen=True)
class Part:
    """Flits of a stream's frame that a task waits for."""

    stream: int
    last_flit: int


@dataclass(frozen=True)
class Variant:
    """What a block does for the frames of one direction."""

    direction: str  # "" for a linear layer
    chain: int  # linear or recurrent
    gate_chain: int | None
    tasks: tuple[int, ...]  # one a core of the block
    parts: tuple[tuple[Part, ...], ...]  # one entry a core; recurrent: of the fed-back output


@dataclass(frozen=True)
class BlockWiring:
    """Cores of a block, recurrent ones last, the links between them, and its variants."""

    cores: tuple[int, ...]
    feeding: int  # the first so many cores take x frames; the tail of these sends the credits
    links: tuple[NeighbourLink, ...]
    variants: tuple[Variant, ...]

    @property
    def recurrent(self) -> bool:
        """Whether the block holds recurrent cores."""
        return self.feeding < len(self.cores)

    @property
    def credit_core(self) -> int:
        """Index in the block of the tail that frees staging: of the linear or gate_input chain."""
        return self.feeding - 1


def block_wirings(program: Program) -> tuple[BlockWiring, ...]:
    """The blocks in the order of their first chain.

    Raises SimulationError for chains that share some of their cores but not all, in order.
    """
    groups: dict[tuple[int, ...], list[Variant]] = {}
    for index, chain in enumerate(program.chains):
        if chain.role == "gate_input":
            continue
        variant = _variant(program, index, chain)
        cores = tuple(program.tasks[task].core for task in variant.tasks)
        groups.setdefault(cores, []).append(variant)
    taken = [core for cores in groups for core in cores]
    if len(set(taken)) < len(taken):
        twice = sorted({core for core in taken if taken.count(core) > 1})
        raise SimulationError(
            f"cores {twice} work for several chains that do not lie on the same cores in the same "
            "order; expected the two directions of an LSTM or nothing"
        )
    return tuple(_block(program, cores, variants) for cores, variants in groups.items())


def _variant(program: Program, index: int, chain: Chain) -> Variant:
    gate = None if chain.gate_chain is None else program.chains[chain.gate_chain]
    tasks = (() if gate is None else gate.tasks) + chain.tasks
    return Variant(
        chain.direction,
        index,
        chain.gate_chain,
        tasks,
        tuple(_parts(program, task) for task in tasks),
    )


def _parts(program: Program, task: int) -> tuple[Part, ...]:
    size = program.config.flit_activations
    return tuple(
        Part(segment.stream, (segment.first + segment.count - 1) // size)
        for segment in program.tasks[task].segments
    )


def _block(program: Program, cores: tuple[int, ...], variants: list[Variant]) -> BlockWiring:
    first = variants[0]
    feeding = len(cores)
    if first.gate_chain is not None:
        feeding = len(program.chains[first.gate_chain].tasks)
    stages = program.config.stages
    links = []
    for index in range(len(cores) - 1):
        if index != feeding - 1:
            hops = _hops(program, "partial_sums", cores[index], cores[index + 1])
            extra = stages.chain_add + stages.output_register
            links.append(_link(program.config, index, index + 1, hops, extra))
    if feeding < len(cores):
        hops = _hops(program, "gate_inputs", cores[feeding - 1], cores[-1])
        links.append(_link(program.config, feeding - 1, len(cores) - 1, hops, 0))
    return BlockWiring(cores, feeding, tuple(links), tuple(variants))


def _link(
    config: AcceleratorConfig, source: int, sink: int, hops: int, extra: int
) -> NeighbourLink:
    stages = config.stages
    delay = stages.inject + hops * stages.hop + stages.eject + extra
    return NeighbourLink(source, sink, delay, hops * stages.hop + stages.credit)


def _hops(program: Program, kind: StreamKind, source: int, sink: int) -> int:
    """Links of the stream of this kind between two cores; SimulationError if there is none."""
    for stream in program.streams:
        if stream.kind == kind and stream.source == source:
            for end in stream.sinks:
                if end.core == sink:
                    return end.hops
    raise SimulationError(
        f"no {kind} stream leads from core {source} to core {sink}; compile the program again"
    )


def credit_stream(program: Program, core: int) -> Stream | None:
    """The stream of credit flits that the tail on ``core`` sends, if it sends any."""
    for stream in program.streams:
        if stream.kind == "credits" and stream.source == core:
            return stream
    return None


def consumers(program: Program, blocks: tuple[BlockWiring, ...], stream: int) -> tuple[int, ...]:
    """Blocks whose credits the source of ``stream`` waits for (T11, T12).

    Recurrent tasks that take a fed-back output are not among them: it has places (T13).
    """
    return tuple(
        index
        for index, block in enumerate(blocks)
        if any(
            part.stream == stream
            for variant in block.variants
            for parts in variant.parts[: block.feeding]
            for part in parts
        )
    )


def sequences_of(program: Program) -> tuple[Sequence, ...]:
    """The sequence memories; without a linear layer the host's port is the only one (T12)."""
    recurrent = [chain for chain in program.chains if chain.role == "recurrent"]
    if program.sequences or not recurrent:
        return program.sequences
    orders: dict[int, set[Direction]] = {}
    for chain in recurrent:
        gates = program.chains[chain.gate_chain] if chain.gate_chain is not None else chain
        for task in gates.tasks:
            for segment in program.tasks[task].segments:
                if program.streams[segment.stream].source == HOST and chain.direction:
                    orders.setdefault(segment.stream, set()).add(chain.direction)
    served: tuple[Order, ...] = tuple(
        "both" if len(found) == 2 else found.pop() for found in orders.values()
    )
    return (Sequence(HOST, tuple(orders), served, 0),)


def head_stream(sequences: tuple[Sequence, ...], program: Program, core: int, order: str) -> int:
    """Stream of x frames from which a recurrent core takes the heads of a direction (T13).

    Raises SimulationError if none of its direction reaches the core.
    """
    candidates = [
        stream
        for sequence in sequences
        for stream, served in zip(sequence.streams, sequence.directions, strict=True)
        if served in (order, "both")
        and any(sink.core == core for sink in program.streams[stream].sinks)
    ]
    if not candidates:
        raise SimulationError(
            f"no stream of {order} x frames reaches the recurrent core {core}, which takes "
            "the order of its steps from it; compile the program again"
        )
    return candidates[0]
