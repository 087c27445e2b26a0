"""What a stream pays for slots of a channel while the circuits are searched.

A price depends on the channel and the slots wanted there, not on who asks: prices are kept until
the channel changes hands. That makes the search several times faster and changes nothing in what it
finds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import neighbours
from sparsespeech.compiler.slot_wheel import (
    HOST_PLACE,
    Channel,
    SlotWheel,
    slot_numbers,
    wider_sets,
)

_PRESSURE, _PRESSURE_GROWTH = 0.5, 1.25  # cost of meeting another stream, in links; each round
_GRUDGE = 0.15  # added to the cost of a slot by each round in which two streams wanted it
_CROWDED = 0.5  # cost of a full link's last slot, in links: spreads streams over the grid
_BROKEN = 0.5  # cost of the first slots of a wider set, which no wide stream can have any more

PricedLinks = tuple[tuple[Place, float], ...]  # sites one link away, with the cost of the link


class ChannelPrices:
    """Prices on one wheel; they rise from round to round of a negotiation."""

    def __init__(self, wheel: SlotWheel, config: AcceleratorConfig) -> None:
        """No grudges yet."""
        self._wheel = wheel
        self._neighbours: dict[Place, tuple[Place, ...]] = {
            place: neighbours(place, config)
            for place in [
                HOST_PLACE,
                *((r, c) for r in range(config.grid_rows) for c in range(config.grid_columns)),
            ]
        }
        self._fixed: set[int] = set()
        self._pressure = _PRESSURE
        self._grudges: dict[Channel, list[float]] = defaultdict(lambda: [0.0] * config.slots)
        self._conflicts: dict[Channel, dict[int, float | None]] = defaultdict(dict)
        self._links: dict[Channel, dict[int, float | None]] = defaultdict(dict)
        self._onward: dict[str, dict[Place, dict[int, PricedLinks]]] = {}

    def fix(self, streams: Iterable[int]) -> None:
        """Nobody may have the slots of ``streams`` from now on."""
        self._fixed.update(streams)
        self._forget_all()

    def begin(self) -> None:
        """A negotiation begins: low pressure; grudges stay."""
        self._pressure = _PRESSURE
        self._forget_all()

    def rise(self, contested: dict[Channel, int]) -> None:
        """After a round with these slots still wanted twice."""
        for channel, mask in contested.items():
            for slot in slot_numbers(mask):
                self._grudges[channel][slot] += _GRUDGE
        self._pressure *= _PRESSURE_GROWTH
        self._forget_all()

    def refresh(self) -> None:
        """Forget the prices of channels that changed hands; before the prices are asked for."""
        for channel in self._wheel.take_changes():
            self._conflicts.pop(channel, None)
            if self._links.pop(channel, None) is not None:
                self._onward[channel.name][channel.start].clear()

    def conflict(self, channel: Channel, wanted: int) -> float | None:
        """Cost of taking slots from others, with old grudges; None where they are fixed."""
        known = self._conflicts[channel]
        if wanted not in known:
            known[wanted] = self._conflict(channel, wanted)
        return known[wanted]

    def onward(self, wires: str, place: Place, wanted: int) -> PricedLinks:
        """The links from a site on which the slots ``wanted`` can be had."""
        if wires not in self._onward:
            self._onward[wires] = {site: {} for site in self._neighbours}
        known = self._onward[wires][place]
        if wanted not in known:
            known[wanted] = tuple(self._priced_links(wires, place, wanted))
        return known[wanted]

    def _priced_links(self, wires: str, place: Place, wanted: int) -> Iterable[tuple[Place, float]]:
        for stop in self._neighbours[place]:
            channel = Channel(place, stop, wires)
            known = self._links[channel]
            if wanted in known:
                price = known[wanted]
            else:
                conflict = self.conflict(channel, wanted)
                price = None if conflict is None else 1 + conflict + self._crowding(channel, wanted)
                known[wanted] = price
            if price is not None:
                yield stop, price

    def _conflict(self, channel: Channel, wanted: int) -> float | None:
        owners = self._wheel.owners(channel, wanted)
        if owners and not self._fixed.isdisjoint(owners):
            return None
        grudges = self._grudges.get(channel)
        grudge = sum(grudges[slot] for slot in slot_numbers(wanted)) if grudges else 0.0
        return self._pressure * len(owners) + grudge

    def _crowding(self, channel: Channel, mask: int) -> float:
        """Prefer empty links, but slots of sets that are already broken."""
        free = self._wheel.free(channel)
        broken = sum(free & wide == wide for wide in wider_sets(mask, self._wheel.slots))
        return _CROWDED * (1 - free.bit_count() / self._wheel.slots) + _BROKEN * broken

    def _forget_all(self) -> None:
        self._conflicts.clear()
        self._links.clear()
        self._onward.clear()
