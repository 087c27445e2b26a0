"""The picture of the network of a program: every link with the share of its wheel given out.

A tile is a core, named as in ``grid_diagram.py``; its colour tells the layer, or with figures of a
run how busy it was. Between two tiles run a link for frames in each direction and, where a chain
goes on, the link for its sums. Links that no stream uses are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparsespeech.compiler.program import Place, Program
from sparsespeech.compiler.stream_graph import LinkLoad, link_loads
from sparsespeech.report.diagram import INK, Diagram, Point, tint
from sparsespeech.report.grid_diagram import Tile, tiles_of
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

TILE = 62.0
PITCH = 122.0
PURPLE = "#CC79A7"  # of the same palette as style.py
_LEFT, _TOP, _BOTTOM, _RIGHT = 96.0, 96.0, 96.0, 34.0
_LANE = 12.0  # from the middle of a gap to the link of each direction
_LAYERS = (GREY, BLUE, "#56B4E9", GREEN, ORANGE, PURPLE)


def network_size(program: Program) -> Point:
    """Units of the picture."""
    width = _LEFT + (program.config.grid_columns - 1) * PITCH + TILE + _RIGHT
    height = _TOP + (program.config.grid_rows - 1) * PITCH + TILE + _BOTTOM
    return max(width, 700.0), height


def paint_network(
    diagram: Diagram, program: Program, utilisation: Sequence[float] | None = None
) -> None:
    """Fill a diagram of :func:`network_size`.

    ``utilisation``: share of the cycles in which each core multiplies, one a core, in [0, 1].
    """
    loads = link_loads(program.streams)
    _paint_title(diagram, program, [load for load in loads if load.start != load.stop])
    tiles = tiles_of(program)
    colours = _layer_colours(tiles)
    for row in range(program.config.grid_rows):
        for column in range(program.config.grid_columns):
            place = (row, column)
            core = program.places.index(place) if place in program.places else None
            tile = tiles.get(core) if core is not None else None
            busy = utilisation[core] if utilisation is not None and core is not None else None
            _paint_tile(diagram, _corner(place), core, tile, colours, busy)
    _paint_host(diagram)
    for load in loads:
        _paint_link(diagram, load, load.slots / program.config.slots)
    _paint_sums(diagram, program)
    _paint_legend(diagram, program, colours, utilisation is not None)


def _corner(place: Place) -> Point:
    return _LEFT + place[1] * PITCH, _TOP + place[0] * PITCH


def _layer_colours(tiles: dict[int, Tile]) -> dict[str, str]:
    """Colours by layer; each direction of an LSTM that has cores of its own has one too."""
    names = dict.fromkeys(_name(tile) for _, tile in sorted(tiles.items()))
    return {name: _LAYERS[1 + number % (len(_LAYERS) - 1)] for number, name in enumerate(names)}


def _name(tile: Tile) -> str:
    layer = tile.layer.replace("layer", "layer ")
    return f"{layer} {tile.direction}".replace(" both", ", both directions").strip()


def _paint_title(diagram: Diagram, program: Program, loads: Sequence[LinkLoad]) -> None:
    """``loads``: of the links between sites."""
    title = f"The network, {program.mapping} mapping"
    diagram.text((_LEFT, 26), title, points=14, bold=True, align="left")
    frames = sum(stream.kind == "activations" for stream in program.streams)
    given = sum(load.slots for load in loads)
    mean = given / max(1, len(loads) * program.config.slots)
    diagram.note(
        (_LEFT, 50),
        f"{len(program.streams)} streams, {frames} of them of frames, over {len(loads)} links; "
        f"{mean:.0%} of the slots of these links are given out",
        align="left",
    )


def _paint_tile(
    diagram: Diagram,
    corner: Point,
    core: int | None,
    tile: Tile | None,
    colours: dict[str, str],
    busy: float | None,
) -> None:
    x, y = corner
    if tile is None:
        diagram.box(corner, (TILE, TILE), fill="#fafafa", edge=GREY, line=":", width=0.8)
        if core is None:
            diagram.note((x + TILE / 2, y + TILE / 2), "router\nonly", points=7)
        return
    strength = 0.6 if tile.letter == "h" else 0.3
    fill = tint(colours[_name(tile)], strength) if busy is None else tint(PURPLE, busy)
    diagram.box(corner, (TILE, TILE), fill=fill, edge=colours[_name(tile)], width=1.4)
    middle = x + TILE / 2
    number = "".join(sign for sign in tile.layer if sign.isdigit()) or tile.layer
    diagram.text((middle, y + 13), f"layer {number}", points=7)
    diagram.text((middle, y + 32), f"{tile.letter}{tile.position}", points=12, bold=True)
    last = f"rows {tile.row_group}" if busy is None else f"{busy:.0%}"
    diagram.text((middle, y + 50), last, points=7.5)


def _paint_link(diagram: Diagram, link: LinkLoad, share: float) -> None:
    """Keep right: opposite directions run side by side. ``share``: of the slots, given out."""
    if link.start != link.stop:
        way = _across(link.start, link.stop, lane=_LANE)
    else:
        x, y = _corner(link.start)
        ends, lane = ((-3, -50), -_LANE) if link.to_host else ((-50, -3), _LANE)
        way = (x + ends[0], y + TILE / 2 + lane), (x + ends[1], y + TILE / 2 + lane)
    diagram.arrow(*way, colour=_load_colour(share), width=0.8 + 3.2 * share)


def _load_colour(load: float) -> str:
    return tint(BLUE, 0.3 + 0.7 * load)


def _across(start: Place, stop: Place, lane: float) -> tuple[Point, Point]:
    """The ends of an arrow over the gap between two sites, ``lane`` to the right of the middle."""
    (x, y), (row, column) = _corner(start), (stop[0] - start[0], stop[1] - start[1])
    middle = (x + TILE / 2 - lane * row, y + TILE / 2 + lane * column)
    near, far = TILE / 2 + 2, PITCH - TILE / 2 - 2
    return (
        (middle[0] + column * near, middle[1] + row * near),
        (middle[0] + column * far, middle[1] + row * far),
    )


def _paint_sums(diagram: Diagram, program: Program) -> None:
    kinds = {"partial_sums": RED, "gate_inputs": INK}
    for stream in program.streams:
        if stream.kind in kinds:
            for link in stream.links:
                way = _across(link.start, link.stop, lane=0)
                diagram.arrow(*way, colour=kinds[stream.kind], width=2.2)
    for sequence in program.sequences:
        core = program.tasks[program.chains[sequence.chain].tasks[-1]].core
        x, y = _corner(program.places[core])
        diagram.box((x + TILE - 14, y + TILE - 15), (10, 10), fill=INK, round_by=2)


def _paint_host(diagram: Diagram) -> None:
    x, y = _corner((0, 0))
    diagram.box((x - 84, y + TILE / 2 - 20), (32, 40), "host", fill="#f0f0f0", points=8)


def _paint_legend(diagram: Diagram, program: Program, colours: dict[str, str], heat: bool) -> None:
    y = _TOP + (program.config.grid_rows - 1) * PITCH + TILE + 26
    x = _LEFT
    for name, colour in colours.items():
        diagram.box((x, y), (15, 11), fill=tint(colour, 0.0 if heat else 0.45), edge=colour)
        diagram.note((x + 20, y + 6), name, align="left")
        x += 40 + 5.4 * len(name)
    x, y = _LEFT, y + 28
    for load in (1 / program.config.slots, 0.5, 1.0):
        width = 0.8 + 3.2 * load
        diagram.arrow((x, y), (x + 28, y), colour=_load_colour(load), width=width)
        diagram.note((x + 34, y), f"{load:.0%} of the slots", align="left")
        x += 146
    for colour, text in ((RED, "partial sums"), (INK, "gate inputs")):
        diagram.arrow((x, y), (x + 24, y), colour=colour, width=2.2)
        diagram.note((x + 30, y), text, align="left")
        x += 116
    diagram.box((x, y - 5), (10, 10), fill=INK, round_by=2)
    diagram.note((x + 16, y), "sequence memory", align="left")
    text = (
        "c: columns of a fully connected layer, x: input columns, h: recurrent columns of an LSTM"
    )
    if heat:
        text += "; fill: share of the cycles in which the core multiplies"
    diagram.note((_LEFT, y + 24), text, align="left")
