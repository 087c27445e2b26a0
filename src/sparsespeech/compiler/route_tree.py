"""Multicast trees on the grid: one source, branches where the ways to the sinks part.

Every site of the grid has a router, with or without a core. A router takes a stream in from one
side and duplicates it to any of its outputs (S2 section IV-A: "duplication of data to multiple
output ports"), so a site has one depth, its number of links from the source.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.slot_wheel import HOST_PLACE

Onward = Callable[[Place, int], Iterable[tuple[Place, float]]]
"""Sites one link on from a site that is ``depth`` links from the source, with the link's cost."""


_ROUNDING = 1e-9  # of sums of costs: ways that cost as much as the best one must be found


class TreeLink(NamedTuple):
    """A link whose start is ``depth`` links from the source."""

    start: Place
    stop: Place
    depth: int


@dataclass(frozen=True)
class Tree:
    """Number of links to every sink; ``links`` in an order that starts at the source."""

    hops: dict[Place, int]
    links: tuple[TreeLink, ...]
    cost: float


def neighbours(place: Place, config: AcceleratorConfig) -> tuple[Place, ...]:
    """Sites one link away: north, east, south, west; the host's port is west of site (0, 0)."""
    if place == HOST_PLACE:
        return ((0, 0),)
    row, column = place
    around = ((row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1))
    inside = tuple(
        (r, c) for r, c in around if 0 <= r < config.grid_rows and 0 <= c < config.grid_columns
    )
    return (*inside, HOST_PLACE) if place == (0, 0) else inside


def grow_tree(
    source: Place,
    sinks: Collection[Place],
    onward: Onward,
    depth_weight: float,
    most: float = math.inf,
) -> Tree | None:
    """Join the sinks to the tree one by one, the cheapest first.

    None if one cannot be reached, or if the tree costs more than ``most``.

    A way costs its new links and ``depth_weight`` for each link from the source: 0 shares as much
    as possible, a large weight gives shortest ways. No way leads through the host's port.
    """
    depth = {source: 0}
    links: list[TreeLink] = []
    total = 0.0
    missing = set(sinks) - {source}
    while missing:
        found = _cheapest_way(depth, missing, onward, depth_weight, most - total + _ROUNDING)
        if found is None:
            return None
        spent, way = found
        total += spent
        for start, stop in itertools.pairwise(way):
            depth[stop] = depth[start] + 1
            links.append(TreeLink(start, stop, depth[start]))
        missing -= set(way)
    return Tree({sink: depth[sink] for sink in sinks}, tuple(links), total)


def _cheapest_way(
    tree: dict[Place, int],
    missing: Collection[Place],
    onward: Onward,
    depth_weight: float,
    most: float,
) -> tuple[float, list[Place]] | None:
    """The way from a site of the tree to a missing sink: its cost, at most ``most``, and sites."""
    before: dict[Place, Place | None] = {}
    # cost, depth, site, site before: equal costs are decided by depth and place, not by chance
    queue: list[tuple[float, int, Place, Place | None]] = [
        (depth_weight * depth, depth, place, None) for place, depth in tree.items()
    ]
    heapq.heapify(queue)
    while queue:
        spent, depth, place, previous = heapq.heappop(queue)
        if place in before:
            continue
        if spent > most:
            return None
        before[place] = previous
        if place in missing:
            return spent, _way_to(place, before)
        if place == HOST_PLACE and depth > 0:
            continue
        for following, price in onward(place, depth):
            if following not in before and following not in tree:
                entry = (spent + price + depth_weight, depth + 1, following, place)
                heapq.heappush(queue, entry)
    return None


def _way_to(place: Place, before: dict[Place, Place | None]) -> list[Place]:
    way = [place]
    while (previous := before[way[-1]]) is not None:
        way.append(previous)
    return way[::-1]
