"""The picture of a grid with a network on it: which core holds which rows and columns.

A tile is a core; its letter is c for the columns of a fully connected layer, x for the input and h
for the recurrent columns of an LSTM, with the number of the column slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from sparsespeech.compiler.program import Place, Program
from sparsespeech.report.diagram import INK, Diagram, Point, tint
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

TILE = 66.0
PITCH = 80.0
_LEFT, _TOP, _BOTTOM, _GAP = 74.0, 92.0, 110.0, 34.0
_ROLES = {"linear": "c", "gate_input": "x", "recurrent": "h"}
_DIRECTIONS = {"": BLUE, "forward": ORANGE, "backward": GREEN, "both": "#CC79A7"}


@dataclass
class Tile:
    """What one core holds."""

    layer: str
    direction: str  # "both": of both directions of an LSTM
    letter: str
    position: int
    row_group: int


def grid_size(programs: tuple[Program, ...]) -> Point:
    """Units of the picture of ``programs`` side by side."""
    width = _LEFT + sum(p.config.grid_columns * PITCH + _GAP + 20 for p in programs)
    height = _TOP + max(p.config.grid_rows for p in programs) * PITCH + _BOTTOM
    return max(width, 620.0), height


def paint_grids(diagram: Diagram, programs: tuple[Program, ...]) -> None:
    """Fill a diagram of :func:`grid_size`; programs from left to right."""
    left = _LEFT
    for program in programs:
        _paint_grid(diagram, program, left)
        left += program.config.grid_columns * PITCH + _GAP + 20
    height = _TOP + max(p.config.grid_rows for p in programs) * PITCH
    _paint_legend(diagram, programs, height + 22)


def tiles_of(program: Program) -> dict[int, Tile]:
    """The tile of every core with a task."""
    tiles: dict[int, Tile] = {}
    for chain in program.chains:
        for task in (program.tasks[number] for number in chain.tasks):
            tile = tiles.get(task.core)
            if tile is None:
                tiles[task.core] = Tile(
                    chain.layer, chain.direction, _ROLES[chain.role], task.position, chain.row_group
                )
            elif tile.direction != chain.direction:
                tile.direction = "both"
    return tiles


def _paint_grid(diagram: Diagram, program: Program, left: float) -> None:
    config, tiles = program.config, tiles_of(program)
    diagram.text(
        (left, 28), f"{program.mapping.capitalize()} mapping", points=14, bold=True, align="left"
    )
    diagram.note((left, 50), _subtitle(program, len(tiles)), align="left")

    def corner(place: Place) -> Point:
        return left + place[1] * PITCH, _TOP + place[0] * PITCH

    host = corner((0, 0))
    diagram.arrow((host[0] - 52, host[1] + 22), (host[0], host[1] + 22), colour=GREY, width=2)
    diagram.arrow((host[0], host[1] + 44), (host[0] - 52, host[1] + 44), colour=GREY, width=2)
    diagram.note((host[0] - 28, host[1] + 8), "host")
    for row in range(config.grid_rows):
        for column in range(config.grid_columns):
            place = (row, column)
            core = program.places.index(place) if place in program.places else None
            tile = tiles.get(core) if core is not None else None
            _paint_tile(diagram, corner(place), core, tile)
    memories = {sequence.chain for sequence in program.sequences}
    for number, chain in enumerate(program.chains):
        cores = [program.tasks[task].core for task in chain.tasks]
        for start, stop in pairwise(cores):
            _paint_link(diagram, corner(program.places[start]), corner(program.places[stop]), RED)
        if chain.gate_chain is not None:
            giver = program.chains[chain.gate_chain]
            start = program.tasks[giver.tasks[-1]].core
            ends = (corner(program.places[start]), corner(program.places[cores[-1]]))
            _paint_link(diagram, *ends, INK)
        if number in memories:
            x, y = corner(program.places[cores[-1]])
            diagram.box((x + TILE - 17, y + 5), (12, 12), fill=INK, round_by=2)


def _paint_tile(diagram: Diagram, corner: Point, core: int | None, tile: Tile | None) -> None:
    x, y = corner
    if tile is None:
        diagram.box(corner, (TILE, TILE), fill="#fafafa", edge=GREY, line=":", width=0.8)
        if core is None:
            diagram.note((x + TILE / 2, y + TILE / 2), "router\nonly", points=7)
        return
    strength = {"c": 0.16 + 0.16 * (_number(tile.layer) - 1), "x": 0.22, "h": 0.5}[tile.letter]
    diagram.box(corner, (TILE, TILE), fill=tint(_DIRECTIONS[tile.direction], min(strength, 0.6)))
    diagram.text((x + 7, y + 16), tile.layer.replace("layer", "layer "), points=7, align="left")
    middle = (x + TILE / 2, y + 36)
    diagram.text(middle, f"{tile.letter}{tile.position}", points=12, bold=True)
    diagram.text((x + TILE / 2, y + 56), f"rows {tile.row_group}", points=7)


def _number(layer: str) -> int:
    digits = "".join(sign for sign in layer if sign.isdigit())
    return int(digits) if digits else 1


def _paint_link(diagram: Diagram, start: Point, stop: Point, colour: str) -> None:
    """An arrow across the gap between two neighbouring tiles."""
    half = TILE / 2
    step = [(b > a) - (b < a) for a, b in zip(start, stop, strict=True)]
    ends = [
        (x + half + sign * step[0] * half, y + half + sign * step[1] * half)
        for (x, y), sign in ((start, 1), (stop, -1))
    ]
    diagram.arrow(*ends, colour=colour, width=1.6)


def _subtitle(program: Program, used: int) -> str:
    lstm = [chain for chain in program.chains if chain.role == "recurrent"]
    parts = [f"{used} of {program.config.cores} cores"]
    if lstm:
        groups = len({chain.row_group for chain in lstm})
        shared = "of both directions" if program.mapping == "interleaved" else "a direction"
        steps = max(chain.row_groups for chain in lstm)
        parts.append(f"LSTM: {groups} row groups {shared}, {steps:,} steps a pass")
    return "; ".join(parts)


def _paint_legend(diagram: Diagram, programs: tuple[Program, ...], y: float) -> None:
    present = {tile.direction for program in programs for tile in tiles_of(program).values()}
    names = {
        "": "fully connected",
        "forward": "LSTM forward",
        "backward": "LSTM backward",
        "both": "LSTM, both directions",
    }
    x = _LEFT
    for direction in (name for name in names if name in present):
        diagram.box((x, y), (16, 12), fill=tint(_DIRECTIONS[direction], 0.4), round_by=2)
        diagram.note((x + 22, y + 6), names[direction], align="left")
        x += 46 + 6.2 * len(names[direction])
    lines = ((RED, "partial sums"), (INK, "gate inputs"))
    for colour, name in lines:
        diagram.arrow((x, y + 6), (x + 24, y + 6), colour=colour, width=1.6)
        diagram.note((x + 30, y + 6), name, align="left")
        x += 54 + 6.2 * len(name)
    diagram.box((x, y), (12, 12), fill=INK, round_by=2)
    diagram.note((x + 18, y + 6), "sequence memory", align="left")
    diagram.note(
        (_LEFT, y + 34),
        "c: columns of a fully connected layer, x: input columns, h: recurrent columns of an LSTM, "
        "each with the number of its slice;\nrows: the share of the rows that the chain computes",
        align="left",
    )
