"""Checks that streams keep the rules of the network (T8), from the finished streams alone.

The search for circuits is not used here: a mistake there, or a damaged program, is found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Link, Place, Stream
from sparsespeech.compiler.slot_wheel import HOST_PLACE, place_of
from sparsespeech.errors import CompileError

_Hop = tuple[Place, Place]


def check_circuits(
    streams: Sequence[Stream], places: tuple[Place, ...], config: AcceleratorConfig
) -> None:
    """Raises CompileError that names the stream and the link that break a rule."""
    used: dict[_Hop, dict[int, str]] = defaultdict(dict)  # a link: slot, stream
    for stream in streams:
        depths = _depths(stream, places, config)
        for sink in stream.sinks:
            found = depths.get(place_of(sink.core, places))
            if found != sink.hops:
                raise CompileError(
                    f"stream {stream.name!r}: core {sink.core} lies {found} links from the source, "
                    f"the program says {sink.hops}; compile the model again"
                )
        for link in stream.links:
            hop = _hop(stream, link)
            _check_slots(stream, hop, link.slots, depths[hop[0]], config)
            for slot in link.slots:
                other = used[hop].setdefault(slot, stream.name)
                if other != stream.name:
                    raise CompileError(
                        f"streams {other!r} and {stream.name!r} both hold slot {slot} of the link "
                        f"{hop[0]} to {hop[1]}; compile the model again"
                    )


def _hop(stream: Stream, link: Link) -> _Hop:
    """A link with the host's port as a place of its own."""
    if link.start != link.stop:
        return link.start, link.stop
    return (HOST_PLACE, link.start) if stream.source == HOST else (link.start, HOST_PLACE)


def _depths(
    stream: Stream, places: tuple[Place, ...], config: AcceleratorConfig
) -> dict[Place, int]:
    """Links between the source and every site that the stream passes; a tree, so one way only."""
    depth = {place_of(stream.source, places): 0}
    waiting = [_hop(stream, link) for link in stream.links]
    while waiting:
        ready = [hop for hop in waiting if hop[0] in depth]
        if not ready:
            raise CompileError(f"stream {stream.name!r}: {_text(waiting)} do not start at its source")
        for start, stop in ready:
            if stop in depth or not _adjacent(start, stop, config):
                raise CompileError(
                    f"stream {stream.name!r}: the link {start} to {stop} meets the stream again or "
                    "does not exist; compile the model again"
                )
            depth[stop] = depth[start] + 1
        waiting = [hop for hop in waiting if hop not in ready]
    return depth


def _check_slots(
    stream: Stream, hop: _Hop, slots: Iterable[int], depth: int, config: AcceleratorConfig
) -> None:
    late = depth * config.stages.hop
    expected = {(slot + late) % config.slots for slot in stream.slots}
    if not expected or set(slots) != expected:
        raise CompileError(
            f"stream {stream.name!r}: link {hop[0]} to {hop[1]} has the slots {sorted(slots)}, "
            f"expected {sorted(expected)}; compile the model again"
        )


def _adjacent(start: Place, stop: Place, config: AcceleratorConfig) -> bool:
    for row, column in (start, stop):
        inside = 0 <= row < config.grid_rows and 0 <= column < config.grid_columns
        if not inside and (row, column) != HOST_PLACE:
            return False
    return abs(start[0] - stop[0]) + abs(start[1] - stop[1]) == 1


def _text(hops: Iterable[_Hop]) -> str:
    return ", ".join(f"{start} to {stop}" for start, stop in hops)
