"""Checks that streams keep the rules of the network (T8), from the finished streams alone.

The search for circuits is not used here: a mistake there, or a damaged program, is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Link, Place, Stream
from sparsespeech.compiler.slot_wheel import HOST_PLACE, place_of, wires_of
from sparsespeech.errors import CompileError

_Hop = tuple[Place, Place]


def check_circuits(
    streams: Sequence[Stream], places: tuple[Place, ...], config: AcceleratorConfig
) -> None:
    """Raises CompileError that names the stream and the link that break a rule."""
    used: dict[tuple[_Hop, str], dict[int, str]] = defaultdict(dict)  # a link: slot, stream
    for stream in streams:
        visits = _visits(stream, places, config)
        for sink in stream.sinks:
            if (place_of(sink.core, places), sink.hops) not in visits:
                raise CompileError(
                    f"stream {stream.name!r} does not reach core {sink.core} after {sink.hops} "
                    "links, as the program says; compile the model again"
                )
        for link in stream.links:
            hop = _hop(stream, link)
            held = used[hop, wires_of(stream.kind)]
            for slot in link.slots:
                if slot in held:
                    raise CompileError(
                        f"streams {held[slot]!r} and {stream.name!r} both hold slot {slot} of "
                        f"the link {hop[0]} to {hop[1]}; compile the model again"
                    )
                held[slot] = stream.name


def _hop(stream: Stream, link: Link) -> _Hop:
    """A link with the host's port as a place of its own."""
    if link.start != link.stop:
        return link.start, link.stop
    return (HOST_PLACE, link.start) if stream.source == HOST else (link.start, HOST_PLACE)


def _visits(
    stream: Stream, places: tuple[Place, ...], config: AcceleratorConfig
) -> set[tuple[Place, int]]:
    """Sites that the stream passes, each with the number of links from the source.

    A link goes on from the last one before it in ``links`` that ends at its start. Outputs of the
    recurrence may pass a site twice, on the way to their hub and back.
    """
    source = place_of(stream.source, places)
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
        if not inside and (row, column) != HOST_PLACE:
            return False
    return abs(start[0] - stop[0]) + abs(start[1] - stop[1]) == 1
