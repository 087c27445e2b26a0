"""Proves that streams keep the rules of the network (T8), from the finished streams alone.

Links and ports take a flit a cycle: no two streams may hold the same slot of one. The search for
circuits is not used here: a mistake there, or a damaged program, is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Link, Place, Stream, StreamKind
from sparsespeech.errors import CompileError

_HOST_SITE = (0, -1)  # the host's port: west of site (0, 0)
_WIRES: dict[StreamKind, str] = {  # of a link, and the port by which a core puts flits on
    "activations": "frames",
    "credits": "control flits",
    "order": "control flits",
    "partial_sums": "sums",
    "gate_inputs": "sums",
}
_Hop = tuple[Place, Place]
_Visits = set[tuple[Place, int]]
_Held = dict[str, dict[int, str]]  # a link or port as errors name it: slot, stream


def check_circuits(
    streams: Sequence[Stream],
    places: tuple[Place, ...],
    config: AcceleratorConfig,
    heads: Sequence[Collection[int]],
) -> None:
    """Raises CompileError that names the streams and the link or port that break a rule.

    ``heads``: for each stream, the cores that take only the heads of its frames.
    """
    held: _Held = defaultdict(dict)
    for stream, of_heads in zip(streams, heads, strict=True):
        visits = _visits(stream, places, config)
        for sink in stream.sinks:
            if (_site(sink.core, places), sink.hops) not in visits:
                raise CompileError(
                    f"stream {stream.name!r} does not reach {_name(sink.core)} after {sink.hops} "
                    "links, as the program says; compile the model again"
                )
        wires = _WIRES[stream.kind]
        for link in stream.links:
            start, stop = _hop(stream, link)
            _hold(held, f"the link for {wires} from {start} to {stop}", link.slots, stream)
        put = f"the port by which {_name(stream.source)} puts {wires} on"
        _hold(held, put, stream.slots, stream)
        for sink in stream.sinks:
            late = sink.hops * config.stages.hop
            arrivals = [(slot + late) % config.slots for slot in stream.slots]
            taken = _taken(stream.kind, only_heads=sink.core in of_heads)
            _hold(held, f"the port by which {_name(sink.core)} takes {taken}", arrivals, stream)


def _taken(kind: StreamKind, *, only_heads: bool) -> str:
    if kind == "gate_inputs":
        return "gate inputs"
    return "heads" if only_heads else _WIRES[kind]


def _hold(held: _Held, where: str, slots: Iterable[int], stream: Stream) -> None:
    for slot in slots:
        if slot in held[where]:
            raise CompileError(
                f"streams {held[where][slot]!r} and {stream.name!r} both hold slot {slot} of "
                f"{where}; compile the model again"
            )
        held[where][slot] = stream.name


def _name(core: int) -> str:
    return "the host" if core == HOST else f"core {core}"


def _site(core: int, places: tuple[Place, ...]) -> Place:
    return _HOST_SITE if core == HOST else places[core]


def _hop(stream: Stream, link: Link) -> _Hop:
    """A link with the host's port as a place of its own."""
    if link.start != link.stop:
        return link.start, link.stop
    return (link.start, _HOST_SITE) if stream.to_host(link) else (_HOST_SITE, link.start)


def _visits(stream: Stream, places: tuple[Place, ...], config: AcceleratorConfig) -> _Visits:
    """Sites that the stream passes, each with the number of links from the source.

    A link goes on from the last one before it in ``links`` that ends at its start. Outputs of the
    recurrence may pass a site twice, on the way to their hub and back.
    """
    source = _site(stream.source, places)
    last_depth = {source: 0}
    visits = {(source, 0)}
    for link in stream.links:
        start, stop = _hop(stream, link)
        if start not in last_depth or not _adjacent(start, stop, config):
            raise CompileError(
                f"stream {stream.name!r}: the link {start} to {stop} does not exist, or no link "
                "before it leads there; compile the model again"
            )
        late = last_depth[start] * config.stages.hop
        expected = {(slot + late) % config.slots for slot in stream.slots}
        if not expected or set(link.slots) != expected:
            raise CompileError(
                f"stream {stream.name!r}: link {start} to {stop} has the slots {link.slots}, "
                f"expected {tuple(sorted(expected))}; compile the model again"
            )
        last_depth[stop] = last_depth[start] + 1
        visits.add((stop, last_depth[stop]))
    return visits


def _adjacent(start: Place, stop: Place, config: AcceleratorConfig) -> bool:
    for row, column in (start, stop):
        inside = 0 <= row < config.grid_rows and 0 <= column < config.grid_columns
        if not inside and (row, column) != _HOST_SITE:
            return False
    return abs(start[0] - stop[0]) + abs(start[1] - stop[1]) == 1
