"""A circuit for every connection: a tree and slots, so that no two streams ever meet.

Slots of a stream lie at equal distances, a power of two of them: offsets then pack without
fragments, and the longest wait for a slot is slots / n. All streams first take their cheapest ways.
Then they negotiate: in each round, streams that meet are ripped up one by one and look for a new
way, while slots that two streams want become dearer from round to round. If that does not end, all
begin anew with other lanes for the wide streams, and at last with half the slots for the stream
that can best do with less. In the end free slots are given to those who gain by them. Larger groups
of streams from many cores to the same ones are not part of this: each shares one tree (``bus.py``).
The same plan gives the same circuits.

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
from sparsespeech.compiler.route_tree import Tree, TreeLink, grow_tree, neighbours
from sparsespeech.compiler.slot_wheel import (
    Channel,
    SlotWheel,
    even_slots,
    place_of,
    put_port,
    slot_numbers,
    take_port,
    wires_of,
)
from sparsespeech.compiler.slot_widths import SlotWidths
from sparsespeech.errors import CompileError

_ROUNDS = 12  # of negotiation, before something else is tried
_FEW = 4  # streams of a group that find ways of their own, shorter than over a bus
_ATTEMPTS = 6  # choices of lanes, before a stream is halved
_LOOP_WEIGHT, _WEIGHT = 8.0, 0.25  # see route_tree.grow_tree: short ways, shared ways


@dataclass(frozen=True)
class Circuit:
    """Slots at the source (a set, see ``slot_wheel``) and the way of one stream."""

    slots: int
    tree: Tree


@dataclass(frozen=True)
class _Fight:
    """A channel that streams want in the same slots, after all rounds."""

    channel: Channel
    streams: tuple[int, ...]


class _BlockedError(Exception):
    """Buses leave a stream no way at all."""

    def __init__(self, fight: _Fight) -> None:
        """With the stream and those of the buses."""
        super().__init__(fight)
        self.fight = fight


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
        self._prices = ChannelPrices(self._wheel, config)
        self._circuits: dict[int, Circuit] = {}
        self._fixed: set[int] = set()  # streams that are never ripped up
        self._offsets: dict[int, int] = {}  # of the circuits that were found last
        self._lanes: dict[int, int] = {}  # wide streams: 0 for even slots, 1 for odd ones
        self._free: list[int] = []  # all others, the most constrained first

    def run(self) -> tuple[Circuit, ...]:
        """One circuit a connection; raises CompileError naming link, need, limit and what helps.

        Free slots go to streams that gain by them: first to those of the recurrence.
        """
        while (fights := self._best_lanes()) is not None:
            largest = max(fights, key=lambda fight: len(fight.streams))
            if self._width.halve(largest.streams) is None:
                raise self._width.overload(largest.streams, largest.channel)
        self._widen([n for n, one in enumerate(self._connections) if one.in_loop])
        self._widen([n for n, one in enumerate(self._connections) if not one.in_loop])
        return tuple(self._circuits[number] for number in range(len(self._connections)))

    def _best_lanes(self) -> list[_Fight] | None:
        """None once no streams meet; else the fights of the attempt that left the fewest.

        A wide stream holds every second or fourth slot, and keeps to the odd or to the even ones
        all its way: its lane. Streams that change lanes meet all others at once, so negotiation
        seldom gets there; it begins anew with other lanes instead, by turns with and without buses.
        """
        wide = [n for n, one in enumerate(self._connections) if self._is_wide(n) and not one.alone]
        fewest: list[_Fight] | None = None
        for attempt in range(_ATTEMPTS):
            draw = random.Random(attempt)  # the same draws for the same plan
            self._lanes = {}
            taken: dict[int, int] = {}  # a source: the lane of its stream before
            for number in wide:
                source = self._connections[number].source
                lane = 1 - taken[source] if source in taken else draw.randrange(2)
                self._lanes[number] = taken[source] = lane
            try:
                fights = self._attempt(_FEW if attempt % 2 == 0 else len(self._connections))
            except _BlockedError as blocked:
                fights = [blocked.fight]
            if not fights:
                return None
            if fewest is None or len(fights) < len(fewest):
                fewest = fights
        return fewest

    def _attempt(self, few: int) -> list[_Fight]:
        """Route all; groups of more than ``few`` streams over buses."""
        self._begin(few)
        fights = self._negotiate([number for number in self._free if number in self._lanes])
        if fights:
            return fights
        for number in self._free:
            if number not in self._lanes:
                self._reroute(number)
        return self._negotiate(self._free)

    def _is_wide(self, number: int) -> bool:
        return 4 * self._width[number] >= self._wheel.slots > self._width[number]

    def _begin(self, few: int) -> None:
        """Links that are held alone, then the buses of the recurrence, then wide streams."""
        self._wheel = SlotWheel(self._config)
        self._prices = ChannelPrices(self._wheel, self._config)
        self._circuits.clear()
        order = sorted(range(len(self._connections)), key=self._constrained_first)
        self._fixed = {number for number in order if self._connections[number].alone}
        for number in sorted(self._fixed):
            self._hold(number, self._neighbour_link(number))
        groups: dict[str, list[int]] = {}
        for number in order:
            if number not in self._fixed:
                groups.setdefault(self._connections[number].group, []).append(number)
        for place, numbers in enumerate(groups.values()):
            if len(numbers) > few:
                self._take_bus(numbers, place)
        self._prices.fix(self._fixed)
        self._free = [number for number in order if number not in self._fixed]
        for number in self._free:
            if number in self._lanes:
                self._reroute(number)

    def _take_bus(self, numbers: Sequence[int], place: int) -> None:
        """Fixed circuits over one hub, the best one that leaves room for all of the streams.

        Odd slots before even ones, or with an even ``place`` the other way: a hop takes an even
        number of cycles as a rule, so buses stay apart and leave room for wide streams.
        """
        ends = {number: self._ends(number) for number in numbers}
        sources = {source for source, _ in ends.values()}
        sinks = {sink for _, its_sinks in ends.values() for sink in its_sinks}
        for bus in hubs(sources, sinks, self._config):
            for number in sorted(numbers, key=lambda number: -self._width[number]):
                circuit = self._over(bus, number, place)
                if circuit is None:
                    break
                self._hold(number, circuit)
            else:
                self._fixed.update(numbers)
                return
            for number in numbers:
                self._wheel.release(number)

    def _over(self, bus: Bus, number: int, place: int) -> Circuit | None:
        """The circuit over a bus in the first slots that are free all the way."""
        tree = bus.tree(*self._ends(number))
        channels = self._channels(number, tree)
        offsets = range(self._wheel.slots // self._width[number])
        for offset in sorted(offsets, key=lambda offset: ((offset + place + 1) % 2, offset)):
            mask = self._wheel.at_source(self._even_slots(number, offset), bus.steps_in(tree))
            if not any(
                self._wheel.owners(channel, self._wheel.at_depth(mask, depth))
                for channel, depth in channels
            ):
                return Circuit(mask, tree)
        return None

    def _negotiate(self, numbers: Sequence[int]) -> list[_Fight]:
        """Let streams that meet find other ways; the fights that remain, none once no two meet."""
        self._prices.begin()
        for _ in range(_ROUNDS):
            contested = self._wheel.contested()
            if not contested:
                return []
            self._prices.rise(contested)
            for number in numbers:
                if self._meets(number):
                    self._wheel.release(number)
                    self._reroute(number)
        return [
            _Fight(channel, tuple(sorted(self._wheel.owners(channel, mask))))
            for channel, mask in sorted(self._wheel.contested().items())
        ]

    def _meets(self, number: int) -> bool:
        circuit = self._circuits[number]
        return any(
            len(self._wheel.owners(channel, self._wheel.at_depth(circuit.slots, depth))) > 1
            for channel, depth in self._channels(number, circuit.tree)
        )

    def _reroute(self, number: int) -> None:
        """The cheapest circuit now, over slots of others if need be; never over those of a bus."""
        circuit = self._find(number)
        if circuit is None:
            one = self._connections[number]
            blocked = [other for other in self._fixed if not self._connections[other].alone]
            raise _BlockedError(_Fight(self._put(one), (number, *sorted(blocked))))
        self._hold(number, circuit)

    def _constrained_first(self, number: int) -> tuple[bool, int, int, int]:
        one = self._connections[number]
        return not one.in_loop, -self._width[number], -len(one.sinks), number

    def _neighbour_link(self, number: int) -> Circuit:
        """Partial sums and gate inputs have wires of their own, from a core to the next."""
        one = self._connections[number]
        start, (stop,) = self._ends(number)
        if stop not in neighbours(start, self._config):
            raise CompileError(
                f"{one.name}: site {start} and site {stop} are no neighbours, but only those have "
                "links for sums; place chains along the path of the cores"
            )
        all_slots = (1 << self._wheel.slots) - 1
        return Circuit(all_slots, Tree({stop: 1}, (TreeLink(start, stop, 0),), 1.0))

    def _ends(self, number: int) -> tuple[Place, tuple[Place, ...]]:
        one = self._connections[number]
        sinks = tuple(place_of(core, self._places) for core in one.sinks)
        return place_of(one.source, self._places), sinks

    def _even_slots(self, number: int, offset: int) -> int:
        return even_slots(offset, self._width[number], self._wheel.slots)

    def _find(self, number: int) -> Circuit | None:
        """The cheapest circuit over all offsets of the slots; of equal ones that of the last.

        The offset that was best before comes first: most others then soon cost more.
        """
        self._prices.refresh()
        lane = self._lanes.get(number)
        offsets = range(self._wheel.slots // self._width[number])
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
        wires, by_depth = wires_of(one.kind), self._wheel.by_depth(mask)
        period = len(by_depth)

        def onward(place: Place, depth: int) -> PricedLinks:
            return self._prices.onward(wires, place, by_depth[depth % period])

        if self._prices.conflict(self._put(one), mask) is None:
            return None
        weight = _LOOP_WEIGHT if one.in_loop else _WEIGHT
        tree = grow_tree(*self._ends(number), onward, weight, most)
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

    def _put(self, one: Connection) -> Channel:
        return put_port(place_of(one.source, self._places), one.kind)

    def _channels(self, number: int, tree: Tree) -> list[tuple[Channel, int]]:
        """Links and ports of a circuit, each with its number of links from the source."""
        one = self._connections[number]
        takes = []
        for sink in one.sinks:
            place = place_of(sink, self._places)
            port = take_port(place, one.kind, heads=sink in one.heads)
            takes.append((port, tree.hops[place]))
        wires = wires_of(one.kind)
        links = [(Channel(link.start, link.stop, wires), link.depth) for link in tree.links]
        return [(self._put(one), 0), *links, *takes]

    def _hold(self, number: int, circuit: Circuit) -> None:
        self._circuits[number] = circuit
        for channel, depth in self._channels(number, circuit.tree):
            self._wheel.hold(number, channel, self._wheel.at_depth(circuit.slots, depth))

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
        free = (1 << self._wheel.slots) - 1
        for channel, depth in self._channels(number, circuit.tree):
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
