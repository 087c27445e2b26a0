"""One way for all outputs that a recurrent layer feeds back: to a hub, and from there to everyone.

Shortest ways from many tails to many cores meet in ever other phases of the wheel and soon leave no
slot. Behind a hub all streams keep their distance in slots: they take one tree, inwards along its
reverse, outwards along its branches, and whichever slots differ at the hub differ everywhere. The
hub lies so that the longest way is shortest, which is hardly longer than from corner to corner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.route_tree import Tree, TreeLink, neighbours
from sparsespeech.compiler.slot_wheel import HOST_PLACE

Blocked = Callable[[Place, Place], bool]
"""True for a link (start, stop) that partial sums or gate inputs hold alone."""


@dataclass(frozen=True)
class RecurrentBus:
    """``inward``: the next site towards the hub; ``outward``: the site before, seen from the hub."""

    hub: Place
    inward: dict[Place, Place]
    outward: dict[Place, Place]

    def steps_in(self, source: Place) -> int:
        """Links from ``source`` to the hub."""
        return len(self._way_in(source)) - 1

    def tree(self, source: Place, sinks: Collection[Place]) -> Tree:
        """The way of one stream."""
        way = self._way_in(source)
        links = [TreeLink(*pair, depth) for depth, pair in enumerate(zip(way, way[1:], strict=False))]
        depth = {self.hub: len(links)}
        for sink in sinks:
            branch = [sink]
            while branch[-1] not in depth:
                branch.append(self.outward[branch[-1]])
            for stop, start in reversed(list(zip(branch, branch[1:], strict=False))):
                links.append(TreeLink(start, stop, depth[start]))
                depth[stop] = depth[start] + 1
        return Tree({sink: depth[sink] for sink in sinks}, tuple(links), float(len(links)))

    def _way_in(self, source: Place) -> list[Place]:
        way = [source]
        while way[-1] != self.hub:
            way.append(self.inward[way[-1]])
        return way


def find_bus(
    sources: Collection[Place],
    sinks: Collection[Place],
    config: AcceleratorConfig,
    blocked: Blocked,
) -> RecurrentBus | None:
    """The bus with the shortest longest way; None if no site reaches all of them."""
    best: tuple[int, RecurrentBus] | None = None
    for row in range(config.grid_rows):
        for column in range(config.grid_columns):
            hub = (row, column)
            inward, far_in = _search(hub, config, lambda near, far: blocked(far, near))
            outward, far_out = _search(hub, config, blocked)
            if not (set(sources) <= far_in.keys() and set(sinks) <= far_out.keys()):
                continue
            bus = RecurrentBus(hub, inward, outward)
            cores = [far_out[one] for one in sinks if one != HOST_PLACE]
            length = max(far_in[one] for one in sources) + max(cores)
            if (best is None or length < best[0]) and not _overlaps(bus, sources, sinks):
                best = length, bus
    return None if best is None else best[1]


def _search(
    hub: Place, config: AcceleratorConfig, blocked: Blocked
) -> tuple[dict[Place, Place], dict[Place, int]]:
    """Breadth first from the hub: each site's next one on the way back, and its distance."""
    back: dict[Place, Place] = {}
    distance = {hub: 0}
    queue = deque([hub])
    while queue:
        place = queue.popleft()
        if place == HOST_PLACE:
            continue
        for following in neighbours(place, config):
            if following not in distance and not blocked(place, following):
                distance[following] = distance[place] + 1
                back[following] = place
                queue.append(following)
    return back, distance


def _overlaps(bus: RecurrentBus, sources: Collection[Place], sinks: Collection[Place]) -> bool:
    """True if a link leads to the hub for one stream and away from it for another."""
    inward: set[tuple[Place, Place]] = set()
    outward: set[tuple[Place, Place]] = set()
    for source in sources:
        links = bus.tree(source, sinks).links
        steps = bus.steps_in(source)
        inward.update((link.start, link.stop) for link in links[:steps])
        outward.update((link.start, link.stop) for link in links[steps:])
    return bool(inward & outward)
