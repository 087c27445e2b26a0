"""One way for all streams from many cores to the same ones: to a hub, and from there to everyone.

Shortest ways from many cores to many meet in ever other phases of the wheel and soon leave no slot.
Behind a hub all streams keep their distance in slots: they take one tree, inwards along its links
turned round, outwards along its branches, and whichever slots differ at the hub differ everywhere.
The hub lies so that the longest way is shortest, hardly longer than from corner to corner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, TreeLink, neighbours
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
    """A bus over every site; first those with the shortest longest way between two cores."""
    found: list[tuple[int, Place, Bus]] = []
    for row in range(config.grid_rows):
        for column in range(config.grid_columns):
            hub = (row, column)
            back, distance = _search(hub, config)
            cores = [distance[one] for one in sinks if one != HOST_PLACE]
            length = max(distance[one] for one in sources) + max(cores, default=0)
            found.append((length, hub, Bus(hub, back)))
    return [bus for _, _, bus in sorted(found, key=lambda entry: entry[:2])]


def _search(
    hub: Place, config: AcceleratorConfig
) -> tuple[dict[Place, Place], dict[Place, int]]:
    """Breadth first from the hub: each site's next one on the way back, and its distance."""
    back: dict[Place, Place] = {}
    distance = {hub: 0}
    queue = deque([hub])
    while queue:
        place = queue.popleft()
        for following in neighbours(place, config) if place != HOST_PLACE else ():
            if following not in distance:
                distance[following] = distance[place] + 1
                back[following] = place
                queue.append(following)
    return back, distance


def _pairs(way: list[Place]) -> list[tuple[Place, Place]]:
    return list(zip(way, way[1:], strict=False))
