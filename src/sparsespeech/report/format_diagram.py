"""The picture of all formats: the weight word, its three meanings, and what links carry.

G multipliers of a window and lane, R row lanes.
"""

from __future__ import annotations

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.report.diagram import Diagram, Point, tint
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

SIZE = (1100, 660)
GATE_INPUT_BITS = 16  # R5: Q4.11
_LEFT, _WIDTH = 170.0, 900.0
_COLOURS = {
    "weight": BLUE,
    "column": GREEN,
    "split": ORANGE,
    "last": RED,
    "value": BLUE,
    "head": RED,
}
_HEIGHT = 34.0

Field = tuple[str, int, str]  # name, bits, colour; an empty colour: unused bits


def paint_formats(diagram: Diagram, config: AcceleratorConfig) -> None:
    """Fill a diagram of :data:`SIZE`."""
    diagram.text((20, 26), "Weight word", points=14, bold=True, align="left")
    diagram.note(
        (180, 28),
        f"{config.word_bits} bits: one a cycle from the memory of each row lane and window",
        align="left",
    )
    _strip(diagram, 62, "bit 0 first", word_fields(config), config.word_bits)
    _paint_meanings(diagram, config)
    diagram.text((20, 356), "Links", points=14, bold=True, align="left")
    diagram.note(
        (180, 358),
        f"{config.flit_bits} bits a cycle each; the slot of the wheel says which stream a flit "
        "belongs to, so no flit has an address",
        align="left",
    )
    for number, (name, fields, note) in enumerate(flits(config)):
        y = 388 + 64 * number
        _strip(diagram, y, name, fields, config.flit_bits)
        diagram.note((_LEFT, y + _HEIGHT + 12), note, align="left", points=7.5)


def word_fields(config: AcceleratorConfig) -> list[Field]:
    """The weight word from bit 0 upwards; see ``compiler/word_format.py``."""
    fields: list[Field] = []
    for _ in range(config.multipliers_per_window):
        fields.append(("weight", config.weight_bits, "weight"))
        fields.append(("column", config.index_bits, "column"))
    return [*fields, ("split", config.split_bits, "split"), ("last", 1, "last")]


def flits(config: AcceleratorConfig) -> list[tuple[str, list[Field], str]]:
    """Name, fields and a line about each kind of flit, filled up to the width of a link."""
    context = (config.contexts - 1).bit_length()
    count = (config.flit_activations - 1).bit_length()
    head = context + 4  # direction, first step, last step, last of the wave
    activations = [("activation", config.activation_bits, "value")] * config.flit_activations
    sums = [("partial sum", config.partial_sum_bits, "value")] * config.row_lanes
    gates = [("gate input", GATE_INPUT_BITS, "value")] * config.row_lanes
    kinds: list[tuple[str, list[Field], str]] = [
        (
            "activations",
            [*activations, ("count", count, "head"), ("head", head, "head")],
            "through the routers, to any number of cores. Head: place of the utterance in its "
            "wave, direction, first and last step, last of the wave; count: activations of a "
            "short last flit",
        ),
        ("partial sums", sums, "to the next core of a chain, alone on a link of their own"),
        (
            "gate inputs",
            gates,
            "from the tail of the input chain to the tail of the recurrent chain: xp of R5, the "
            "gates of one cell side by side",
        ),
        (
            "control",
            [("", 1, "head")],
            "on wires of their own, a bit wide: a credit is a flit without content, an order flit "
            "names the direction of the next frame",
        ),
    ]
    filled = [(name, _filled(fields, config.flit_bits), note) for name, fields, note in kinds[:-1]]
    return [*filled, kinds[-1]]


def _filled(fields: list[Field], bits: int) -> list[Field]:
    free = bits - sum(width for _, width, _ in fields)
    return [*fields, ("unused", free, "")] if free > 0 else fields


def _strip(diagram: Diagram, y: float, name: str, fields: list[Field], bits: int) -> None:
    """A row of fields; ``bits`` fill the width."""
    diagram.text((20, y + _HEIGHT / 2), name, align="left", bold=name != "bit 0 first")
    x = _LEFT
    for label, width, colour in fields:
        extent = _WIDTH * width / bits
        if colour:
            fill = tint(_COLOURS[colour], 0.25)
            diagram.box((x, y), (extent, _HEIGHT), fill=fill, round_by=0, width=0.8)
        else:
            diagram.box((x, y), (extent, _HEIGHT), edge=GREY, line=":", round_by=0, width=0.8)
        _label(diagram, (x + extent / 2, y + _HEIGHT / 2), label, width, extent)
        x += extent


def _label(diagram: Diagram, place: Point, label: str, width: int, extent: float) -> None:
    """Name and number of bits, as far as there is room; a single bit is known to be one."""
    text = f"{label}\n{width}" if label and width > 1 else label
    narrow = extent < 5.2 * len(label)
    diagram.text(place, text, points=6.5 if narrow else 7.5, rotation=90 if extent < 16 else 0)


def _paint_meanings(diagram: Diagram, config: AcceleratorConfig) -> None:
    """The three words by example, entries in the colours of their rows."""
    places = config.multipliers_per_window
    first = max(1, places - 1)
    examples = (
        ("no row ends", [0] * places, "last 0, split 0", "all entries belong to row i"),
        (
            "one row ends",
            [0] * first + [1] * (places - first),
            f"last 1, split {first}",
            f"the first {first} entries end row i, the others begin row i + 1",
        ),
        (
            "two rows end",
            [0] * first + [1] * (places - first),
            f"last 0, split {first + 1}",
            f"the first {first} entries end row i, the others are all of row i + 1: how a window "
            "that fell behind catches up",
        ),
    )
    for number, (name, rows, bits, note) in enumerate(examples):
        y = 124 + 66 * number
        diagram.text((20, y + 15), name, align="left", bold=True)
        for place, row in enumerate(rows):
            corner = (_LEFT + 74 * place, y)
            fill = tint((BLUE, ORANGE)[row], 0.25)
            text = "row i" if row == 0 else "row i + 1"
            diagram.box(corner, (70, 30), text, fill=fill, round_by=2, points=8)
        x = _LEFT + 74 * places
        diagram.box((x + 8, y), (104, 30), bits, fill=tint(GREY, 0.12), round_by=2, points=8)
        diagram.note((x + 126, y + 15), _broken(note, 68), align="left")


def _broken(text: str, length: int) -> str:
    """``text`` in two lines if it is long."""
    if len(text) <= length:
        return text
    cut = text.rindex(" ", 0, length)
    return f"{text[:cut]}\n{text[cut + 1 :]}"
