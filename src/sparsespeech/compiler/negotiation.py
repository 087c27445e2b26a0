"""One attempt to find circuits for all streams of the same wires: they negotiate for slots.

Slots of a stream lie at equal distances, a power of two of them: offsets then pack without
fragments, and the longest wait for a slot is slots / n. All streams first take their cheapest ways.
Then they negotiate: in each round, streams that meet are ripped up one by one and look for a new
way, while slots that two streams want become dearer from round to round. Larger groups of streams
from many cores to the same ones are not part of this: each shares one tree (``bus.py``).

The negotiation of ways is that of PathFinder (McMurchie and Ebeling, 1995), with slots for wires.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.bus import Bus, hubs
from sparsespeech.compiler.channel_prices import ChannelPrices, PricedLinks
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, grow_tree
from sparsespeech.compiler.slot_wheel import (
    Channel,
    SlotWheel,
    even_slots,
    place_of,
    put_port,
    take_port,
    wires_of,
)
from sparsespeech.compiler.slot_widths import Fight, SlotWidths

_ROUNDS = 12  # of negotiation, before something else is tried
_HOPEFUL = 12  # channels that streams still fight for after half of the rounds, if there is hope
_LOOP_WEIGHT, _WEIGHT = 8.0, 0.25  # see route_tree.grow_tree: short ways, shared ways


@dataclass(frozen=True)
class Circuit:
    """Slots at the source (a set, see ``slot_wheel``) and the way of one stream."""

    slots: int
    tree: Tree


@dataclass(frozen=True)
class Beginning:
    """In what one attempt differs from the next."""

    order: tuple[int, ...]  # of streams alike
    lanes: dict[int, int]  # wide streams: 0 for even slots, 1 for odd ones
    few: int  # streams of a group that find ways of their own, shorter than over a bus
    hubs: random.Random | None = None  # draws buses, which then all groups must have


class NoBusError(Exception):
    """A group finds no bus that leaves room for all of its streams."""


class BlockedError(Exception):
    """Buses leave a stream no way at all."""

    def __init__(self, fight: Fight) -> None:
        """With the stream and those of the buses."""
        super().__init__(fight)
        self.fight = fight


def ends_of(one: Connection, places: tuple[Place, ...]) -> tuple[Place, tuple[Place, ...]]:
    """Sites of the source and of the sinks."""
    return place_of(one.source, places), tuple(place_of(core, places) for core in one.sinks)


def ports_of(one: Connection, places: tuple[Place, ...]) -> list[tuple[Place, Channel]]:
    """Every port that a stream uses, with its site; that of the source first."""
    source, sinks = ends_of(one, places)
    ports = [(source, put_port(source, one.kind))]
    for core, place in zip(one.sinks, sinks, strict=True):
        ports.append((place, take_port(place, one.kind, heads=core in one.heads)))
    return ports


def channels_of(
    one: Connection, tree: Tree, places: tuple[Place, ...]
) -> list[tuple[Channel, int]]:
    """Links and ports of a circuit, each with its number of links from the source."""
    (_, put), *takes = ports_of(one, places)
    wires = wires_of(one.kind)
    links = [(Channel(link.start, link.stop, wires), link.depth) for link in tree.links]
    return [(put, 0), *links, *((port, tree.hops[place]) for place, port in takes)]


class Negotiation:
    """Circuits of the streams of ``beginning.order``, found by :meth:`run`."""

    def __init__(
        self,
        connections: Sequence[Connection],
        places: tuple[Place, ...],
        config: AcceleratorConfig,
        width: SlotWidths,
        beginning: Beginning,
    ) -> None:
        """``places`` of all cores; ``width``: slots of every stream."""
        self.wheel = SlotWheel(config)
        self.circuits: dict[int, Circuit] = {}
        self._connections = connections
        self._places = places
        self._config = config
        self._width = width
        self._beginning = beginning
        self._prices = ChannelPrices(self.wheel, config)
        self._fixed: set[int] = set()  # streams of buses: never ripped up
        self._offsets: dict[int, int] = {}  # of the circuits that were found last
        self._free: list[int] = []  # all others, the most constrained first

    def run(self) -> list[Fight]:
        """The fights that remain, none once no two streams meet.

        Buses of the recurrence, then wide streams, then all others. Raises BlockedError, and
        NoBusError if every group must have a bus.
        """
        places = {number: place for place, number in enumerate(self._beginning.order)}
        order = sorted(places, key=lambda number: self._constrained_first(number, places[number]))
        groups: dict[str, list[int]] = {}
        for number in order:
            groups.setdefault(self._connections[number].group, []).append(number)
        for place, numbers in enumerate(groups.values()):
            if len(numbers) > self._beginning.few:
                if not self._take_bus(numbers, place) and self._beginning.hubs is not None:
                    raise NoBusError
        self._prices.fix(self._fixed)
        self._free = [number for number in order if number not in self._fixed]
        wide = [number for number in self._free if number in self._beginning.lanes]
        for numbers in (wide, self._free):
            for number in numbers:
                if number not in self.circuits:
                    self._reroute(number)
            fights = self._negotiate(numbers)
            if fights:
                return fights
        return []

    def _constrained_first(self, number: int, place: int) -> tuple[bool, int, int, int]:
        one = self._connections[number]
        return not one.in_loop, -self._width[number], -len(one.sinks), place

    def _take_bus(self, numbers: Sequence[int], place: int) -> bool:
        """Fixed circuits over one hub, the best one that leaves room for all of the streams.

        Odd slots before even ones, or with an even ``place`` the other way: a hop takes an even
        number of cycles as a rule, so buses stay apart and leave room for wide streams.
        """
        ends = {number: ends_of(self._connections[number], self._places) for number in numbers}
        sources = {source for source, _ in ends.values()}
        sinks = {sink for _, its_sinks in ends.values() for sink in its_sinks}
        buses = hubs(sources, sinks, self._config)
        if self._beginning.hubs is not None:
            in_loop = self._connections[numbers[0]].in_loop
            near = len(buses) // 3 if in_loop else len(buses)  # short ways: they are in each step
            buses = self._beginning.hubs.sample(buses[:near], near)
        for bus in buses:
            for number in sorted(numbers, key=lambda number: -self._width[number]):
                circuit = self._over(bus, number, place)
                if circuit is None:
                    break
                self._hold(number, circuit)
            else:
                self._fixed.update(numbers)
                return True
            for number in numbers:
                self.circuits.pop(number, None)
                self.wheel.release(number)
        return False

    def _over(self, bus: Bus, number: int, place: int) -> Circuit | None:
        """The circuit over a bus in the first slots that are free all the way."""
        one = self._connections[number]
        tree = bus.tree(*ends_of(one, self._places))
        channels = channels_of(one, tree, self._places)
        offsets = range(self.wheel.slots // self._width[number])
        for offset in sorted(offsets, key=lambda offset: ((offset + place + 1) % 2, offset)):
            mask = self.wheel.at_source(self._even_slots(number, offset), bus.steps_in(tree))
            if not any(
                self.wheel.owners(channel, self.wheel.at_depth(mask, depth))
                for channel, depth in channels
            ):
                return Circuit(mask, tree)
        return None

    def _negotiate(self, numbers: Sequence[int]) -> list[Fight]:
        """Let streams that meet find other ways; the fights that remain, none once no two meet."""
        self._prices.begin()
        for done in range(_ROUNDS):
            contested = self.wheel.contested()
            if not contested:
                return []
            if 2 * done == _ROUNDS and len(contested) > _HOPEFUL:
                break
            self._prices.rise(contested)
            for number in numbers:
                if self._meets(number):
                    self.wheel.release(number)
                    self._reroute(number)
        return [
            self._fight(channel, self.wheel.owners(channel, mask))
            for channel, mask in sorted(self.wheel.contested().items())
        ]

    def _fight(self, channel: Channel, streams: Sequence[int]) -> Fight:
        near = {
            other
            for number in streams
            if number in self.circuits
            for one, _ in self._channels(number, self.circuits[number].tree)
            for other in self.wheel.owners(one, (1 << self.wheel.slots) - 1)
        }
        return Fight(channel, tuple(sorted(streams)), tuple(sorted(near)))

    def _meets(self, number: int) -> bool:
        circuit = self.circuits[number]
        return any(
            len(self.wheel.owners(channel, self.wheel.at_depth(circuit.slots, depth))) > 1
            for channel, depth in self._channels(number, circuit.tree)
        )

    def _reroute(self, number: int) -> None:
        """The cheapest circuit now, over slots of others if need be; never over those of a bus."""
        circuit = self._find(number)
        if circuit is None:
            _, put = ports_of(self._connections[number], self._places)[0]
            raise BlockedError(self._fight(put, (number, *sorted(self._fixed))))
        self._hold(number, circuit)

    def _find(self, number: int) -> Circuit | None:
        """The cheapest circuit over all offsets of the slots; of equal ones that of the last.

        The offset that was best before comes first: most others then soon cost more.
        """
        self._prices.refresh()
        lane = self._beginning.lanes.get(number)
        offsets = range(self.wheel.slots // self._width[number])
        best: Circuit | None = None
        best_offset = before = self._offsets.get(number, -1)
        for offset in sorted(offsets, key=lambda offset: offset != before):
            if lane is not None and offset % 2 != lane:
                continue
            most = math.inf if best is None else best.tree.cost
            mask = self._even_slots(number, offset)
            tree = self._tree(number, mask, most)
            if tree is not None and (tree.cost < most or offset > best_offset):
                best, best_offset = Circuit(mask, tree), offset
        self._offsets[number] = best_offset
        return best

    def _tree(self, number: int, mask: int, most: float) -> Tree | None:
        """The cheapest way with the slots ``mask``; None if it costs more than ``most``."""
        one = self._connections[number]
        wires, by_depth = wires_of(one.kind), self.wheel.by_depth(mask)
        period = len(by_depth)

        def onward(place: Place, depth: int) -> PricedLinks:
            return self._prices.onward(wires, place, by_depth[depth % period])

        _, put = ports_of(one, self._places)[0]
        if self._prices.conflict(put, mask) is None:
            return None
        weight = _LOOP_WEIGHT if one.in_loop else _WEIGHT
        tree = grow_tree(*ends_of(one, self._places), onward, weight, most)
        if tree is None:
            return None
        cost = 0.0
        for channel, depth in self._channels(number, tree):
            conflict = self._prices.conflict(channel, by_depth[depth % period])
            if conflict is None:
                return None
            cost += conflict
        cost += tree.cost
        return Tree(tree.hops, tree.links, cost) if cost <= most else None

    def _even_slots(self, number: int, offset: int) -> int:
        return even_slots(offset, self._width[number], self.wheel.slots)

    def _channels(self, number: int, tree: Tree) -> list[tuple[Channel, int]]:
        return channels_of(self._connections[number], tree, self._places)

    def _hold(self, number: int, circuit: Circuit) -> None:
        self.circuits[number] = circuit
        for channel, depth in self._channels(number, circuit.tree):
            self.wheel.hold(number, channel, self.wheel.at_depth(circuit.slots, depth))
