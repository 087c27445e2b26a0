"""What streams ask of the network, what they hold of it, and the proof that none waits for itself.

A flit never waits inside the network (T8 of ``simulator/timing.md``), so a deadlock could only be a
circle of cores of which each waits for the results of the one before. Outputs that a recurrent
layer feeds back belong to the next step and close no circle; credits bring no data.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Place, Stream
from sparsespeech.errors import CompileError

_DATA = ("activations", "partial_sums", "gate_inputs")


def slots_for_rate(config: AcceleratorConfig, per_cycle: float) -> int:
    """Slots for ``per_cycle`` activations a cycle, without a queue that grows; a power of two."""
    flits = per_cycle / config.flit_activations
    return _power_of_two(math.ceil(config.slots * flits), config)


def slots_for_frame(config: AcceleratorConfig, frame: int, cycles: int) -> int:
    """Slots with which a frame of activations passes in ``cycles``; a power of two."""
    flits = math.ceil(frame / config.flit_activations)
    return _power_of_two(math.ceil(config.slots * flits / max(1, cycles)), config)


@dataclass(frozen=True)
class LinkLoad:
    """What streams hold of the wires for frames of a directed link.

    Sums and control flits have wires of their own (T8), which are never scarce.
    """

    start: Place
    stop: Place  # equal to ``start`` for the host's port
    to_host: bool  # of the host's port, which has a link in and a link out
    slots: int  # of the wheel's ``AcceleratorConfig.slots``
    streams: int


def link_loads(streams: Iterable[Stream]) -> tuple[LinkLoad, ...]:
    """Slots taken on each link that carries frames, in the order of their sites."""
    slots: Counter[tuple[Place, Place, bool]] = Counter()
    users: Counter[tuple[Place, Place, bool]] = Counter()
    for stream in streams:
        for link in stream.links if stream.kind == "activations" else ():
            ends = (link.start, link.stop, stream.to_host(link))
            slots[ends] += len(link.slots)
            users[ends] += 1
    return tuple(LinkLoad(*ends, slots[ends], users[ends]) for ends in sorted(slots))


def prove_acyclic(streams: Sequence[Stream], recurrent: Collection[int]) -> tuple[int, ...]:
    """An order of the cores in which each comes after all whose results it needs in a step.

    ``recurrent``: tails of recurrent chains, whose outputs feed the next step. Raises CompileError
    that names the circle.
    """
    needs: dict[int, set[int]] = defaultdict(set)  # a core: the cores it waits for
    cores: set[int] = set()
    for stream in streams:
        if stream.kind not in _DATA or stream.source == HOST:
            continue
        fed_back = stream.kind == "activations" and stream.source in recurrent
        sinks = {sink.core for sink in stream.sinks if sink.core != HOST} - {stream.source}
        cores |= {stream.source} | sinks
        for core in () if fed_back else sinks:
            needs[core].add(stream.source)
    order: list[int] = []
    waiting = sorted(cores)
    while waiting:
        ready = [core for core in waiting if needs[core].issubset(order)]
        if not ready:
            circle = " needs ".join(f"core {core}" for core in _circle(waiting, needs))
            raise CompileError(
                f"streams form a circle: {circle}; each core would wait for the next, and no "
                "program can run so. Layers must follow each other in one direction"
            )
        order += ready
        waiting = [core for core in waiting if core not in set(ready)]
    return tuple(order)


def _circle(waiting: Sequence[int], needs: dict[int, set[int]]) -> list[int]:
    """Every core of ``waiting`` needs another one of them; follow the needs until one returns."""
    path = [waiting[0]]
    while path.count(path[-1]) == 1:
        path.append(min(needs[path[-1]].intersection(waiting)))
    return path[path.index(path[-1]) :]


def _power_of_two(count: int, config: AcceleratorConfig) -> int:
    """At least ``count``, at most half of the wheel, so that two wide streams can share a link."""
    return min(1 << max(0, count - 1).bit_length(), max(1, config.slots // 2))
