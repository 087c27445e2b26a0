"""Prices that are kept between searches are those that would be asked for anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.channel_prices import ChannelPrices
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import neighbours
from sparsespeech.compiler.slot_wheel import HOST_PLACE, Channel, SlotWheel, even_slots

GRID = replace(TARGETS["tiny"], grid_rows=2, grid_columns=3, cores=6, slots=8)
SITES: list[Place] = [HOST_PLACE, *((row, column) for row in range(2) for column in range(3))]
LINKS = [
    Channel(site, stop, wires)
    for site in SITES
    for stop in neighbours(site, GRID)
    for wires in ("frames", "control")
]
PORTS = [Channel(site, site, "put frames") for site in SITES]
MASKS = [even_slots(offset, count, 8) for count in (1, 2, 4) for offset in range(8 // count)]


def all_prices(prices: ChannelPrices) -> list[object]:
    """Of every channel and mask, in one order."""
    onward = [
        prices.onward(wires, site, mask)
        for wires in ("frames", "control")
        for site in SITES
        for mask in MASKS
    ]
    return [*onward, *(prices.conflict(channel, mask) for channel in PORTS for mask in MASKS)]


@pytest.mark.parametrize("seed", range(5))
def test_kept_prices_are_those_of_a_new_wheel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wheel = SlotWheel(GRID)
    kept = ChannelPrices(wheel, GRID)
    kept.fix([0])
    rounds: list[dict[Channel, int]] = []
    different = set()
    for _ in range(12):
        owner = int(rng.integers(0, 6))
        wheel.release(owner)
        for number in rng.choice(len(LINKS), 4, replace=False):
            wheel.hold(owner, LINKS[number], int(rng.choice(MASKS)))
        wheel.hold(owner, PORTS[int(rng.integers(len(PORTS)))], int(rng.choice(MASKS)))
        if rng.random() < 0.3:
            rounds.append(wheel.contested())
            kept.rise(rounds[-1])
        kept.refresh()
        anew = ChannelPrices(wheel, GRID)
        anew.fix([0])
        for contested in rounds:
            anew.rise(contested)
        found = all_prices(kept)
        assert found == all_prices(anew)
        different.add(str(found))
    assert len(different) > 6


def test_fixed_slots_cannot_be_had_and_others_cost_more_each_round() -> None:
    wheel = SlotWheel(GRID)
    prices = ChannelPrices(wheel, GRID)
    link = Channel((0, 0), (0, 1), "frames")
    wheel.hold(1, link, 0b11)
    wheel.hold(2, link, 0b10)
    prices.refresh()
    free, once, twice = (prices.conflict(link, mask) for mask in (0b100, 0b1, 0b10))
    assert free == 0
    assert once is not None and twice is not None and 0 < once < twice
    prices.rise(wheel.contested())
    dearer = prices.conflict(link, 0b10)
    assert dearer is not None and dearer > 1.25 * twice  # pressure, and a grudge
    prices.fix([2])
    assert prices.conflict(link, 0b10) is None
    assert (0, 1) not in dict(prices.onward("frames", (0, 0), 0b10))
    assert (0, 1) in dict(prices.onward("frames", (0, 0), 0b1))
