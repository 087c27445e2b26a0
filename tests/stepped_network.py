"""The network, register by register and cycle by cycle, for flits of all streams at once.

Nothing of the compiler's search is used: the slot tables of the routers are filled from the links
of the finished streams, and flits walk through them. A table entry that two streams want, a flit
that gets lost, doubled or late is an error.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Place, Stream

Wire = tuple[str, Place, Place]  # kind of wires, from, to
Port = tuple[str, int]  # of a core
Flit = tuple[int, int]  # stream, cycle in which it was put on

WIRES = {"activations": "frames", "credits": "control", "order": "control"}
HOST_SITE = (0, -1)


def replay(
    streams: Sequence[Stream],
    places: tuple[Place, ...],
    config: AcceleratorConfig,
    recurrent: Collection[int],
) -> int:
    """Two turns of the wheel; the number of flits that arrived. ``recurrent``: cores of chains."""
    routers: dict[Wire, dict[int, Wire | Port]] = defaultdict(dict)  # a slot: the input it takes
    takes: dict[Port, dict[int, Wire | Port]] = defaultdict(dict)
    tails = {stream.source for stream in streams if stream.kind == "activations"} & set(recurrent)
    for stream in streams:
        _fill_tables(stream, places, config, routers, takes, recurrent, tails)
    wires: dict[Wire, list[Flit | None]] = {wire: [None] * config.stages.hop for wire in routers}
    arrived: Counter[tuple[int, Flit, int]] = Counter()
    turns, drain = 2 * config.slots, 200 * config.stages.hop
    for cycle in range(turns + drain):
        put_on = _put_on(streams, cycle, config) if cycle < turns else {}
        slot = cycle % config.slots
        ends: dict[Wire | Port, Flit | None] = {wire: line[-1] for wire, line in wires.items()}
        ends |= put_on
        for (_, core), table in takes.items():
            flit = ends.get(table[slot]) if slot in table else None
            if flit is not None:
                arrived[core, flit, cycle] += 1
        for wire, line in wires.items():
            table = routers[wire]
            flit = ends.get(table[slot]) if slot in table else None
            wires[wire] = [flit, *line[:-1]]
    promised = Counter(
        (sink.core, (number, cycle), cycle + sink.hops * config.stages.hop)
        for number, stream in enumerate(streams)
        for cycle in range(turns)
        if cycle % config.slots in stream.slots
        for sink in stream.sinks
    )
    assert arrived == promised
    return sum(arrived.values())


def _site(core: int, places: tuple[Place, ...]) -> Place:
    return HOST_SITE if core == HOST else places[core]


def _fill_tables(
    stream: Stream,
    places: tuple[Place, ...],
    config: AcceleratorConfig,
    routers: dict[Wire, dict[int, Wire | Port]],
    takes: dict[Port, dict[int, Wire | Port]],
    recurrent: Collection[int],
    tails: Collection[int],
) -> None:
    kind = WIRES.get(stream.kind, "sums")
    source: Wire | Port = (f"put {kind}", stream.source)
    comes_from = {_site(stream.source, places): source}
    inputs = {(_site(stream.source, places), 0): source}
    depth = {_site(stream.source, places): 0}
    for link in stream.links:
        start, stop = link.start, link.stop
        if start == stop:
            start, stop = (HOST_SITE, start) if stream.source == HOST else (start, HOST_SITE)
        assert abs(start[0] - stop[0]) + abs(start[1] - stop[1]) == 1
        wire = (kind, start, stop)
        for slot in link.slots:
            assert slot not in routers[wire], f"{wire} has two flits in slot {slot}"
            routers[wire][slot] = comes_from[start]
        depth[stop] = depth[start] + 1
        comes_from[stop] = inputs[stop, depth[stop]] = wire
    for sink in stream.sinks:
        heads = sink.core in recurrent and kind == "frames" and stream.source not in tails
        port = "heads" if heads else "gates" if stream.kind == "gate_inputs" else kind
        for slot in stream.slots:
            late = (slot + sink.hops * config.stages.hop) % config.slots
            table = takes[f"take {port}", sink.core]
            assert late not in table, f"core {sink.core} takes two flits at {port} in slot {late}"
            table[late] = inputs[_site(sink.core, places), sink.hops]


def _put_on(
    streams: Sequence[Stream], cycle: int, config: AcceleratorConfig
) -> dict[Wire | Port, Flit | None]:
    found: dict[Wire | Port, Flit | None] = {}
    for number, stream in enumerate(streams):
        if cycle % config.slots in stream.slots:
            port = (f"put {WIRES.get(stream.kind, 'sums')}", stream.source)
            assert port not in found, f"core {stream.source} puts two flits on at {port}"
            found[port] = (number, cycle)
    return found
