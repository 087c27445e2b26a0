"""A circuit for every connection: a tree and slots, so that no two streams ever meet.

Partial sums and gate inputs have links of their own. Frames and control flits share nothing
either, so their circuits are searched one after the other, in attempts (``negotiation.py``) that
differ in lanes, buses and order. If none leads to the end, streams that can do with less are
halved. In the end free slots are given to those who gain by them. The same plan gives the same
circuits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.negotiation import (
    Beginning,
    BlockedError,
    Circuit,
    Negotiation,
    NoBusError,
    channels_of,
    ends_of,
    ports_of,
)
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, TreeLink, neighbours
from sparsespeech.compiler.slot_wheel import Channel, SlotWheel, slot_numbers, wires_of
from sparsespeech.compiler.slot_widths import Fight, SlotWidths
from sparsespeech.errors import CompileError

_FEW = 4  # streams of a group that find ways of their own rather than a bus
_ATTEMPTS = 24  # before streams are halved
_TURNS = 5  # of attempts with and without buses; buses are quick, so then they come first
_LAST_ATTEMPTS = 60  # once no stream can be halved
_MANY = 4  # fights that weigh as much as a stream without a way


class CircuitSearch:
    """Circuits of all connections, found by :meth:`run`."""

    def __init__(
        self,
        connections: Sequence[Connection],
        places: tuple[Place, ...],
        config: AcceleratorConfig,
    ) -> None:
        """``places`` of all cores; raises CompileError if a port is overloaded."""
        self._connections = connections
        self._places = places
        self._config = config
        self._width = SlotWidths(connections, places, config)

    def run(self) -> tuple[Circuit, ...]:
        """One circuit a connection; raises CompileError naming link, need, limit and what helps."""
        wires: dict[str, list[int]] = {}
        circuits: dict[int, Circuit] = {}
        for number, one in enumerate(self._connections):
            if one.alone:
                circuits[number] = self._neighbour_link(one)
            else:
                wires.setdefault(wires_of(one.kind), []).append(number)
        for numbers in wires.values():
            circuits |= self._search(numbers)
        return tuple(circuits[number] for number in range(len(self._connections)))

    def _neighbour_link(self, one: Connection) -> Circuit:
        """Partial sums and gate inputs have wires of their own, from a core to the next."""
        start, (stop,) = ends_of(one, self._places)
        if stop not in neighbours(start, self._config):
            raise CompileError(
                f"{one.name}: site {start} and site {stop} are no neighbours, but only those have "
                "links for sums; place chains along the path of the cores"
            )
        all_slots = (1 << self._config.slots) - 1
        return Circuit(all_slots, Tree({stop: 1}, (TreeLink(start, stop, 0),), 1.0))

    def _search(self, numbers: Sequence[int]) -> dict[int, Circuit]:
        """Circuits of streams that share wires.

        Free slots go to streams that gain by them: first to those of the recurrence.
        """
        attempts = _ATTEMPTS
        while isinstance(found := self._attempts(numbers, attempts), list):
            if not self._width.relieve(found, numbers):
                if attempts == _LAST_ATTEMPTS:
                    raise self._width.no_circuits(found)
                attempts = _LAST_ATTEMPTS
        self._widen(found, [n for n in numbers if self._connections[n].in_loop])
        self._widen(found, [n for n in numbers if not self._connections[n].in_loop])
        return found.circuits

    def _attempts(self, numbers: Sequence[int], most: int) -> Negotiation | list[Fight]:
        """The first attempt in which no streams meet, or else the fights of the best one."""
        fewest: list[Fight] = []
        least = _MANY * len(self._connections)
        tried: set[tuple[int, ...]] = set()
        hopeless = False  # without buses
        for attempt in range(most):
            beginning = self._beginning(numbers, attempt, tried)
            if hopeless and beginning.few > _FEW:
                continue
            found = Negotiation(
                self._connections, self._places, self._config, self._width, beginning
            )
            try:
                fights = found.run()
                score = len(fights)
            except BlockedError as blocked:
                fights, score = [blocked.fight], _MANY
            except NoBusError:
                continue
            if not fights:
                return found
            hopeless |= beginning.few > _FEW and score > _MANY
            if not fewest or score < least:
                fewest, least = fights, score
        return fewest

    def _beginning(
        self, numbers: Sequence[int], attempt: int, tried: set[tuple[int, ...]]
    ) -> Beginning:
        """By turns with and without buses; the same for the same plan.

        A wide stream holds every second or fourth slot, and keeps to the odd or to the even ones
        all its way: its lane. Streams that change lanes meet all others at once, so negotiation
        seldom gets there; it begins anew with other lanes instead. Where that is what was
        ``tried``, the streams begin in another order, with other buses.
        """
        draw = random.Random(attempt)
        lanes = self._draw_lanes(numbers, draw)
        buses = attempt % 2 == 0 or (attempt > _TURNS and attempt % 8 != 1)
        few = _FEW if buses else len(self._connections)
        key = (few, *lanes.values())
        if key not in tried:
            tried.add(key)
            return Beginning(tuple(numbers), lanes, few)
        order = tuple(draw.sample(numbers, len(numbers)))
        if attempt >= _ATTEMPTS and buses:
            few = draw.choice((1, _FEW))  # buses for small groups, too
        return Beginning(order, lanes, few, draw if buses else None)

    def _draw_lanes(self, numbers: Sequence[int], draw: random.Random) -> dict[int, int]:
        """A lane for each wide stream, so that a lane of no port gets more than its slots."""
        lanes: dict[int, int] = {}
        taken: dict[int, int] = {}  # a source: the lane of its stream before
        held: Counter[tuple[Channel, int]] = Counter()
        for number in numbers:
            width, source = self._width[number], self._connections[number].source
            if not 4 * width >= self._config.slots > width:
                continue
            lane = 1 - taken[source] if source in taken else draw.randrange(2)
            ports = self._lanes_of_ports(self._connections[number])
            room = [
                self._config.slots // 2 - width
                >= max(held[port, (choice + change) % 2] for port, change in ports)
                for choice in (0, 1)
            ]
            if room[1 - lane] and not room[lane]:
                lane = 1 - lane
            for port, change in ports:
                held[port, (lane + change) % 2] += width
            lanes[number] = taken[source] = lane
        return lanes

    def _lanes_of_ports(self, one: Connection) -> list[tuple[Channel, int]]:
        """Ports of a stream; 1 where its flits change lanes on the way, on whichever way."""
        ports = ports_of(one, self._places)
        (row, column), _ = ports[0]
        hop = self._config.stages.hop
        return [
            (port, (abs(place[0] - row) + abs(place[1] - column)) * hop % 2)
            for place, port in ports
        ]

    def _widen(self, found: Negotiation, numbers: Sequence[int]) -> None:
        """Give free slots to streams that gain by them, one slot a stream and round."""
        gained = True
        while gained:
            gained = False
            for number in numbers:
                gained |= self._widen_one(found, number)

    def _widen_one(self, found: Negotiation, number: int) -> bool:
        one, circuit, wheel = self._connections[number], found.circuits[number], found.wheel
        if circuit.slots.bit_count() >= one.most_slots:
            return False
        channels = channels_of(one, circuit.tree, self._places)
        free = (1 << wheel.slots) - 1
        for channel, depth in channels:
            free &= wheel.at_source(wheel.free(channel), depth)
        if not free:
            return False
        held = slot_numbers(circuit.slots)
        slot = max(slot_numbers(free), key=lambda slot: (_distance(slot, held, wheel), -slot))
        found.circuits[number] = Circuit(circuit.slots | 1 << slot, circuit.tree)
        for channel, depth in channels:
            wheel.hold(number, channel, wheel.at_depth(1 << slot, depth))
        return True


def _distance(slot: int, held: Sequence[int], wheel: SlotWheel) -> int:
    """To the nearest slot that the stream holds, round the wheel."""
    ways = ((slot - other) % wheel.slots for other in held)
    return min(min(way, wheel.slots - way) for way in ways)
