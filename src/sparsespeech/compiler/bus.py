"""One way for all streams from many cores to the same ones: to a hub, and from there to everyone.

Shortest ways from many cores to many meet in ever other phases of the wheel and soon leave no slot.
Behind a hub all streams keep their distance in slots: they take one tree, inwards along its links
turned round, outwards along its branches, and whichever slots differ at the hub differ everywhere.
The hub lies so that the longest way is shortest, hardly longer than from corner to corner.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, TreeLink
from sparsespeech.compiler.slot_wheel import HOST_PLACE


@dataclass(frozen=True)
class Bus:
    """``back``: the next site on the way to the hub, of every site."""

    hub: Place
    back: dict[Place, Place]

    def steps_in(self, tree: Tree) -> int:
        """Links of ``tree`` before the hub."""
        stops = [link.stop for link in tree.links]
        inwards = [self.back.get(link.start) == link.stop for link in tree.links]
        return stops.index(self.hub) + 1 if inwards and inwards[0] else 0

    def tree(self, source: Place, sinks: Collection[Place]) -> Tree:
        """The way of one stream."""
        way = self._way_in(source)
        links = [TreeLink(start, stop, way.index(start)) for start, stop in _pairs(way)]
        depth = {self.hub: len(links)}
        for sink in sinks:
            branch = self._way_in(sink)
            for stop, start in reversed(_pairs(branch)):
                if stop not in depth:
                    links.append(TreeLink(start, stop, depth[start]))
                    depth[stop] = depth[start] + 1
        return Tree({sink: depth[sink] for sink in sinks}, tuple(links), float(len(links)))

    def _way_in(self, source: Place) -> list[Place]:
        way = [source]
        while way[-1] != self.hub:
            way.append(self.back[way[-1]])
        return way


def hubs(
    sources: Collection[Place], sinks: Collection[Place], config: AcceleratorConfig
) -> list[Bus]:
    """Two buses over every site; first those with the shortest longest way between two cores.

    One is a row with columns on both sides, the other a column with rows: they share few links, so
    that two full buses fit on the grid.
    """
    sites = [
        (row, column) for row in range(config.grid_rows) for column in range(config.grid_columns)
    ]
    found: list[tuple[int, Place, bool, Bus]] = []
    for hub in sites:
        cores = [_distance(hub, one) for one in sinks if one != HOST_PLACE]
        length = max(_distance(hub, one) for one in sources) + max(cores, default=0)
        for along_row in (True, False):
            back = {site: _next_site(site, hub, along_row) for site in sites if site != hub}
            found.append((length, hub, along_row, Bus(hub, {**back, HOST_PLACE: (0, 0)})))
    return [bus for *_, bus in sorted(found, key=lambda entry: entry[:3])]


def _distance(one: Place, other: Place) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _next_site(site: Place, hub: Place, along_row: bool) -> Place:
    """The hub's row (or column) first, then along it to the hub."""
    (row, column), (hub_row, hub_column) = site, hub
    row_step = (hub_row > row) - (hub_row < row)
    column_step = (hub_column > column) - (hub_column < column)
    if row_step and (along_row or not column_step):
        return row + row_step, column
    return row, column + column_step


def _pairs(way: list[Place]) -> list[tuple[Place, Place]]:
    return list(itertools.pairwise(way))
