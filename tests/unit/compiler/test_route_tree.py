"""Trees on the grid against all ways there are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Onward, grow_tree, neighbours
from sparsespeech.compiler.slot_wheel import HOST_PLACE

GRID = replace(TARGETS["tiny"], grid_rows=3, grid_columns=3)


def random_costs(seed: int, blocked: float = 0.1) -> Onward:
    """Links that cost 1 to 3 by the depth of their start; some are ``blocked``."""
    rng = np.random.default_rng(seed)
    costs = {
        (site, stop, depth): float(rng.uniform(1, 3))
        for site in [HOST_PLACE, *((row, column) for row in range(3) for column in range(3))]
        for stop in neighbours(site, GRID)
        for depth in range(10)
        if rng.random() >= blocked
    }

    def onward(place: Place, depth: int) -> list[tuple[Place, float]]:
        return [
            (stop, costs[place, stop, depth])
            for stop in neighbours(place, GRID)
            if (place, stop, depth) in costs
        ]

    return onward


def all_ways(start: Place, stop: Place, onward: Onward, weight: float) -> Iterator[float]:
    """Costs of all ways without a circle."""
    waiting = [(0.0, (start,))]
    while waiting:
        cost, way = waiting.pop()
        if way[-1] == stop:
            yield cost
            continue
        for following, price in onward(way[-1], len(way) - 1):
            if following not in way and (following != HOST_PLACE or stop == HOST_PLACE):
                waiting.append((cost + price + weight, (*way, following)))


def without_depth(onward: Onward) -> Onward:
    """The costs at depth 0 everywhere: then the cheapest way is found for certain."""
    return lambda place, depth: onward(place, 0)


@pytest.mark.parametrize("seed", range(20))
def test_one_sink_gets_the_cheapest_way(seed: int) -> None:
    onward = without_depth(random_costs(seed))
    for sink in ((2, 2), (0, 1), HOST_PLACE):
        costs = list(all_ways((1, 1), sink, onward, 0.25))
        tree = grow_tree((1, 1), [sink], onward, 0.25)
        if not costs:
            assert tree is None
            continue
        assert tree is not None
        assert tree.cost == pytest.approx(min(costs))


@pytest.mark.parametrize("seed", range(20))
def test_a_limit_changes_nothing_but_what_costs_more(seed: int) -> None:
    onward = random_costs(seed, blocked=0.0)
    sinks = [(0, 0), (0, 2), (2, 1)]
    tree = grow_tree((1, 1), sinks, onward, 8.0)
    assert tree is not None
    assert grow_tree((1, 1), sinks, onward, 8.0, most=tree.cost) == tree
    assert grow_tree((1, 1), sinks, onward, 8.0, most=tree.cost - 1e-6) is None
    ends = {link.stop: link.depth + 1 for link in tree.links}
    assert all(ends[sink] == tree.hops[sink] for sink in sinks)
