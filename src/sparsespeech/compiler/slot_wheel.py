"""The slot wheel of every channel: who may use it in which cycle of the wheel.

A set of slots is an integer with bit s for slot s. ``hop`` cycles pass from one link to the next,
so a stream that is put on in slot s holds slot (s + depth * hop) mod slots of a link ``depth``
links from its source (T8 of ``simulator/timing.md``).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache, reduce
from math import gcd
from operator import or_
from typing import NamedTuple

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Place, StreamKind

HOST_PLACE: Place = (0, -1)  # west of site (0, 0)


class Channel(NamedTuple):
    """What carries one flit a cycle: a link of the frame, control or sum wires, or a port.

    ``name`` tells the wires of a link, or the port of a core (then ``start`` is ``stop``).
    """

    start: Place
    stop: Place
    name: str

    def __str__(self) -> str:
        """As errors name it."""
        where = "the host" if self.start == HOST_PLACE else f"site {self.start}"
        if self.start == self.stop:
            return f"{where}, port to {self.name}"
        target = "the host" if self.stop == HOST_PLACE else f"site {self.stop}"
        return f"the link for {self.name} from {where} to {target}"


def wires_of(kind: StreamKind) -> str:
    """Each link has wires for frames, few more for control flits, and path neighbours for sums."""
    names = {"activations": "frames", "credits": "control", "order": "control"}
    return names.get(kind, "sums")


def place_of(core: int, places: tuple[Place, ...]) -> Place:
    """Site of a core, or of the host's port."""
    return HOST_PLACE if core == HOST else places[core]


def put_port(place: Place, kind: StreamKind) -> Channel:
    """The port by which a core puts flits of ``kind`` on."""
    return Channel(place, place, f"put {wires_of(kind)}")


def take_port(place: Place, kind: StreamKind, *, heads: bool) -> Channel:
    """The port by which a core takes flits of ``kind``; ``heads``: only the heads of frames."""
    if kind == "gate_inputs":
        return Channel(place, place, "take gate inputs")
    return Channel(place, place, "take heads" if heads else f"take {wires_of(kind)}")


def shift(mask: int, cycles: int, slots: int) -> int:
    """The slots ``cycles`` later."""
    turn = cycles % slots
    return ((mask << turn) | (mask >> (slots - turn))) & ((1 << slots) - 1)


def even_slots(offset: int, count: int, slots: int) -> int:
    """``count`` slots at equal distance from ``offset`` on; ``count`` divides ``slots``."""
    return sum(1 << slot for slot in range(offset, slots, slots // count))


@cache
def wider_sets(mask: int, slots: int) -> tuple[int, ...]:
    """The sets of 2, 4, ... times as many even slots that hold those of ``mask``; not all slots."""
    count = mask.bit_count()
    first = (mask & -mask).bit_length() - 1
    sets = []
    while 2 * (count := 2 * count) <= slots:
        sets.append(even_slots(first % (slots // count), count, slots))
    return tuple(sets)


def slot_numbers(mask: int) -> tuple[int, ...]:
    """The slots of a set in ascending order."""
    return tuple(slot for slot in range(mask.bit_length()) if mask >> slot & 1)


class SlotWheel:
    """Slots of all channels, given out to streams; ``owner`` is the number of a stream."""

    def __init__(self, config: AcceleratorConfig) -> None:
        """All free."""
        self.slots = config.slots
        self.hop = config.stages.hop
        self._all = (1 << config.slots) - 1
        self._held: dict[Channel, dict[int, int]] = defaultdict(dict)  # a channel: owner, slots
        self._taken: dict[Channel, int] = defaultdict(int)  # a channel: slots of all owners
        self._channels: dict[int, set[Channel]] = defaultdict(set)  # an owner: where it holds slots
        self._changed: set[Channel] = set()

    def at_depth(self, mask: int, depth: int) -> int:
        """The slots of a stream on a channel ``depth`` links from its source."""
        return shift(mask, depth * self.hop, self.slots)

    def at_source(self, mask: int, depth: int) -> int:
        """Inverse of :meth:`at_depth`."""
        return shift(mask, -depth * self.hop, self.slots)

    def by_depth(self, mask: int) -> tuple[int, ...]:
        """:meth:`at_depth` of 0, 1, ... links; after the last entry it begins anew."""
        period = self.slots // gcd(self.hop, self.slots)
        return tuple(self.at_depth(mask, depth) for depth in range(period))

    def hold(self, owner: int, channel: Channel, mask: int) -> None:
        """Give slots of a channel to a stream, in addition to those it has, taken or not."""
        held = self._held[channel]
        held[owner] = held.get(owner, 0) | mask
        self._taken[channel] |= mask
        self._channels[owner].add(channel)
        self._changed.add(channel)

    def release(self, owner: int) -> None:
        """Take back all slots of a stream."""
        channels = self._channels.pop(owner, set())
        self._changed |= channels
        for channel in channels:
            held = self._held[channel]
            del held[owner]
            self._taken[channel] = reduce(or_, held.values(), 0)

    def take_changes(self) -> set[Channel]:
        """Channels on which slots were given or taken back since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def free(self, channel: Channel) -> int:
        """Slots that nobody holds."""
        return self._all & ~self._taken[channel]

    def owners(self, channel: Channel, mask: int) -> list[int]:
        """Streams that hold one of the slots ``mask``."""
        if not self._taken[channel] & mask:
            return []
        return [owner for owner, held in self._held[channel].items() if held & mask]

    def contested(self) -> dict[Channel, int]:
        """Slots that more than one stream holds; empty once all circuits are found."""
        found = {}
        for channel, held in self._held.items():
            once = twice = 0
            for mask in held.values():
                twice |= once & mask
                once |= mask
            if twice:
                found[channel] = twice
        return found
