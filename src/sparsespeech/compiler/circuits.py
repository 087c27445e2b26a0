"""A circuit for every connection: a tree and slots, so that no two streams ever meet.

Slots of a stream lie at equal distances, a power of two of them: offsets then pack without
fragments, and the longest wait for a slot is slots / n. Streams are routed one after the other, the
most constrained first. One that finds no way takes the slots of those that bar it, and they look
for a new way (rip-up and retry); links that were fought over become dearer. If that does not end,
the widest stream of the fight is halved and all begin anew. Everything is decided by numbers, never
by chance: the same plan gives the same circuits.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, grow_tree
from sparsespeech.compiler.slot_wheel import (
    HOST_PLACE,
    Channel,
    SlotWheel,
    even_slots,
    place_of,
    put_port,
    slot_numbers,
    take_port,
)
from sparsespeech.compiler.slot_widths import SlotWidths
from sparsespeech.errors import CompileError

_RIPS = 20  # times a stream is ripped up, on average, before widths shrink
_CONFLICT = 4.0  # cost of taking a channel from another stream, in links
_CROWDED = 0.5  # cost of a full link's last slot, in links: spreads streams over the grid
_LOOP_WEIGHT, _WEIGHT = 8.0, 0.25  # see route_tree.grow_tree: short ways, shared ways


@dataclass(frozen=True)
class Circuit:
    """Slots at the source (a set, see ``slot_wheel``) and the way of one stream."""

    slots: int
    tree: Tree


@dataclass(frozen=True)
class _Fight:
    """Streams that took slots from each other without end, and where the last one did."""

    channel: Channel
    streams: tuple[int, ...]


class CircuitSearch:
    """Circuits of all connections, found by :meth:`run`."""

    def __init__(
        self,
        connections: Sequence[Connection],
        places: tuple[Place, ...],
        config: AcceleratorConfig,
    ) -> None:
        """``places`` of all cores."""
        self._connections = connections
        self._places = places
        self._config = config
        self._width = SlotWidths(connections, places, config)
        self._wheel = SlotWheel(config)
        self._circuits: dict[int, Circuit] = {}
        self._history: dict[Channel, float] = defaultdict(float)

    def run(self) -> tuple[Circuit, ...]:
        """One circuit a connection; raises CompileError naming link, need, limit and what helps.

        Free slots go to streams that gain by them: first to those of the recurrence.
        """
        while (fight := self._route_all()) is not None:
            self._width.halve(fight.streams, fight.channel)
        self._widen([n for n, one in enumerate(self._connections) if one.in_loop])
        self._widen([n for n, one in enumerate(self._connections) if not one.in_loop])
        return tuple(self._circuits[number] for number in range(len(self._connections)))

    def _route_all(self) -> _Fight | None:
        self._wheel = SlotWheel(self._config)
        self._circuits.clear()
        self._history.clear()
        waiting = deque(sorted(range(len(self._connections)), key=self._constrained_first))
        left = _RIPS * len(self._connections)
        while waiting:
            number = waiting.popleft()
            circuit = self._find(number, take_slots=False)
            if circuit is None:
                circuit = self._find(number, take_slots=True)
                if circuit is None:
                    raise CompileError(self._no_way(number))
                fight = self._rip_up(number, circuit)
                left -= len(fight.streams) - 1
                if left < 0:
                    return fight
                waiting.extend(other for other in fight.streams if other != number)
            self._hold(number, circuit)
        return None

    def _constrained_first(self, number: int) -> tuple[bool, bool, int, int, int]:
        one = self._connections[number]
        return not one.alone, not one.in_loop, -self._width[number], -len(one.sinks), number

    def _find(self, number: int, *, take_slots: bool) -> Circuit | None:
        """The cheapest circuit over all offsets of the slots."""
        width = self._width[number]
        best: Circuit | None = None
        for offset in range(self._wheel.slots // width):
            mask = even_slots(offset, width, self._wheel.slots)
            tree = self._tree(number, mask, take_slots=take_slots)
            if tree is not None and (best is None or tree.cost < best.tree.cost):
                best = Circuit(mask, tree)
        return best

    def _tree(self, number: int, mask: int, *, take_slots: bool) -> Tree | None:
        one = self._connections[number]

        def price(channel: Channel, depth: int) -> float | None:
            owners = self._wheel.owners(channel, self._wheel.at_depth(mask, depth))
            if owners and (not take_slots or any(self._connections[n].alone for n in owners)):
                return None
            return _CONFLICT * len(owners) + self._history[channel]

        def link_cost(start: Place, stop: Place, depth: int) -> float | None:
            channel = Channel(start, stop)
            conflict = price(channel, depth)
            if conflict is None:
                return None
            crowded = 1 - self._wheel.free(channel).bit_count() / self._wheel.slots
            return 1 + conflict + _CROWDED * crowded

        weight = _LOOP_WEIGHT if one.in_loop else _WEIGHT
        sinks = [place_of(core, self._places) for core in one.sinks]
        tree = grow_tree(
            place_of(one.source, self._places), sinks, self._config, link_cost, weight
        )
        if tree is None:
            return None
        prices = [price(self._put(one), 0)]
        prices += [
            price(self._take(one, sink), tree.depth[place_of(sink, self._places)])
            for sink in one.sinks
        ]
        ports = 0.0
        for conflict in prices:
            if conflict is None:
                return None
            ports += conflict
        return Tree(tree.depth, tree.links, tree.cost + ports)

    def _put(self, one: Connection) -> Channel:
        return put_port(place_of(one.source, self._places), one.kind)

    def _take(self, one: Connection, sink: int) -> Channel:
        return take_port(place_of(sink, self._places), one.kind, heads=sink in one.heads)

    def _channels(self, number: int, tree: Tree) -> list[tuple[Channel, int]]:
        """Links and ports of a circuit, each with its number of links from the source."""
        one = self._connections[number]
        takes = [
            (self._take(one, sink), tree.depth[place_of(sink, self._places)]) for sink in one.sinks
        ]
        links = [(Channel(start, stop), tree.depth[start]) for start, stop in tree.links]
        return [(self._put(one), 0), *links, *takes]

    def _hold(self, number: int, circuit: Circuit) -> None:
        self._circuits[number] = circuit
        for channel, depth in self._channels(number, circuit.tree):
            self._wheel.hold(number, channel, self._wheel.at_depth(circuit.slots, depth))

    def _rip_up(self, number: int, circuit: Circuit) -> _Fight:
        """Free what bars ``circuit``; the fight names the channel with the most opponents."""
        barred: set[int] = set()
        worst, most = Channel(HOST_PLACE, HOST_PLACE), 0
        for channel, depth in self._channels(number, circuit.tree):
            owners = self._wheel.owners(channel, self._wheel.at_depth(circuit.slots, depth))
            if owners:
                self._history[channel] += 1
                barred.update(owners)
                if len(owners) > most:
                    worst, most = channel, len(owners)
        for owner in barred:
            self._wheel.release(owner)
            del self._circuits[owner]
        return _Fight(worst, (number, *sorted(barred)))

    def _no_way(self, number: int) -> str:
        """Only links and ports that are held alone can bar every way."""
        one = self._connections[number]
        source = place_of(one.source, self._places)
        return (
            f"stream {one.name!r} finds no way from site {source}: all ways are links that partial "
            "sums or gate inputs hold alone; use a grid with more rows (grid_rows in the file given "
            "with --config) or compute more layers on the host with --host-layers"
        )

    def _widen(self, numbers: Sequence[int]) -> None:
        """Give free slots to streams that gain by them, one slot a stream and round."""
        gained = True
        while gained:
            gained = False
            for number in numbers:
                gained |= self._widen_one(number)

    def _widen_one(self, number: int) -> bool:
        circuit = self._circuits[number]
        if circuit.slots.bit_count() >= self._connections[number].most_slots:
            return False
        channels = self._channels(number, circuit.tree)
        free = (1 << self._wheel.slots) - 1
        for channel, depth in channels:
            free &= self._wheel.at_source(self._wheel.free(channel), depth)
        if not free:
            return False
        held = slot_numbers(circuit.slots)
        slot = max(slot_numbers(free), key=lambda one: (self._distance(one, held), -one))
        self._hold(number, Circuit(circuit.slots | 1 << slot, circuit.tree))
        return True

    def _distance(self, slot: int, held: Sequence[int]) -> int:
        """To the nearest slot that the stream holds, round the wheel."""
        ways = ((slot - other) % self._wheel.slots for other in held)
        return min(min(way, self._wheel.slots - way) for way in ways)
