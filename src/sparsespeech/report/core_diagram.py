"""The picture of one core: from a flit of activations to results, stage by stage.

R row lanes, Q windows, G multipliers of a window and lane, W columns of a window.
"""

from __future__ import annotations

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.report.diagram import Diagram, tint
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

SIZE = (1100, 650)
MEMORY, SUMS, TAIL, NETWORK = (tint(colour, 0.22) for colour in (BLUE, ORANGE, GREEN, GREY))
_ENTRY = 25  # from one multiplier of a window to the next
_WORD = 317  # left side of the boxes of a weight word
_TREE = 548  # middle of the row of boxes behind the windows


def paint_core(diagram: Diagram, config: AcceleratorConfig) -> None:
    """Fill a diagram of :data:`SIZE`."""
    diagram.text((20, 24), "One core", points=14, bold=True, align="left")
    diagram.note(
        (20, 46),
        f"{config.row_lanes} rows x {config.windows} windows x {config.multipliers_per_window} "
        f"multipliers = {config.multipliers} multiplications a cycle; "
        f"{config.columns:,} columns, {config.weight_words:,} words deep",
        align="left",
    )
    _paint_legend(diagram)
    _paint_feed(diagram, config)
    _paint_words(diagram, config)
    _paint_products(diagram, config)
    _paint_sums(diagram, config)
    _paint_tail(diagram, config)


def _paint_legend(diagram: Diagram) -> None:
    kinds = (("memory", MEMORY, 90), ("products and sums", SUMS, 150))
    x = 590
    for name, fill, width in (*kinds, ("tail of a chain", TAIL, 130), ("network", NETWORK, 90)):
        diagram.box((x, 18), (16, 12), fill=fill, round_by=2)
        diagram.note((x + 22, 24), name, align="left")
        x += width
    diagram.note((1080, 46), "small numbers: registers, in cycles", align="right")


def _paint_feed(diagram: Diagram, config: AcceleratorConfig) -> None:
    """Router and staging, which fill the stores between two passes."""
    diagram.box((20, 84), (110, 60), "router\nof the site", fill=NETWORK)
    diagram.arrow((130, 114), (190, 114))
    diagram.note((160, 101), "frames")
    diagram.box((190, 84), (130, 60), f"staging\n{config.staging_frames} frames wait", fill=MEMORY)
    diagram.arrow((320, 114), (540, 114), (540, 252))
    load = config.load_cycles(config.columns)
    diagram.note(
        (332, 101),
        f"load: {config.load_bytes} activations a cycle, {load} cycles for {config.columns:,}",
        align="left",
    )


def _paint_words(diagram: Diagram, config: AcceleratorConfig) -> None:
    """The frame around what exists once a row lane and window; weight memory, buffer and word."""
    for copy in (2, 1, 0):
        corner = (24 + 7 * copy, 184 - 7 * copy)
        diagram.box(corner, (1040, 288), fill="#f7f7f8", edge=GREY, line="--", round_by=8)
    diagram.text(
        (40, 204),
        f"{config.row_lanes} row lanes x {config.windows} windows of this, each at its own pace",
        align="left",
        points=8.5,
        colour=GREY,
        bold=True,
    )
    diagram.box(
        (44, 262),
        (114, 94),
        f"weight memory\n{config.weight_words:,} words\nof {config.word_bits} bits",
        fill=MEMORY,
    )
    diagram.arrow((158, 309), (196, 309))
    diagram.note((176, 297), f"{config.stages.fetch}")
    diagram.box(
        (196, 262),
        (94, 94),
        f"fetched\nahead\n{config.stages.fetch_ahead_words} words",
        fill=MEMORY,
    )
    diagram.arrow((290, 309), (_WORD, 309))
    for entry in range(config.multipliers_per_window):
        corner = (_WORD, 262 + _ENTRY * entry)
        diagram.box(corner, (112, 19), f"weight {entry}, column {entry}", points=7.5, round_by=2)
    diagram.box((_WORD, 378), (112, 19), "split, last", points=7.5, round_by=2)


def _paint_products(diagram: Diagram, config: AcceleratorConfig) -> None:
    """Activations, multipliers and the sums of the two rows of a word."""
    stages, places = config.stages, config.multipliers_per_window
    last = 271 + _ENTRY * (places - 1)
    middle = (271 + last) / 2
    diagram.box(
        (486, 254),
        (108, last - 236),
        f"activations\n{config.window_columns} x {config.activation_bits} bits\n"
        f"{places} reads a cycle",
        fill=MEMORY,
    )
    word = _WORD + 56  # its middle
    diagram.arrow((word, 262), (word, 234), (657, 234), (657, 262), width=0.8, colour=GREY)
    diagram.note((460, 225), "weights", points=7.5)
    diagram.note(((_WORD + 112 + 486) / 2, middle), "columns", points=7.5)
    for entry in range(places):
        y = 271 + _ENTRY * entry
        if abs(y - middle) > 8:
            diagram.arrow((_WORD + 112, y), (486, y), width=0.8)
        diagram.arrow((594, y), (640, y), width=0.8)
        diagram.box((640, y - 9), (34, 19), "x", fill=SUMS, round_by=2, points=10)
    diagram.note((466, 260), f"{stages.activation_read}")
    diagram.note((614, 260), f"{stages.multiply}")
    diagram.arrow((674, middle), (712, middle))
    diagram.box((712, middle - 44), (98, 88), "segment\nsums: two\nrows share\na word", fill=SUMS)
    way = ((word, 397), (word, 420), (761, 420), (761, middle + 44))
    diagram.arrow(*way, width=0.8, colour=GREY)
    diagram.note((572, 411), "which entries end a row, which begin the next", points=7.5)
    diagram.arrow((810, middle), (862, middle))
    diagram.note((834, middle - 12), f"{stages.segment_sums}")


def _paint_sums(diagram: Diagram, config: AcceleratorConfig) -> None:
    """Accumulator, FIFO and adder tree."""
    stages = config.stages
    diagram.box((862, 268), (150, 66), "accumulate,\nrow by row", fill=SUMS)
    diagram.arrow((937, 334), (937, 384))
    diagram.note((928, 356), f"{stages.accumulate + stages.window_fifo}", align="right")
    diagram.box((862, 384), (150, 66), f"window FIFO\n{config.window_fifo} rows", fill=MEMORY)
    diagram.arrow((862, 444), (243, 444), (243, 356), width=0.8, colour=GREY)
    diagram.note((552, 456), "places: a word that ends a row waits for one", points=7.5)
    diagram.arrow((937, 450), (937, _TREE - 28))
    diagram.note((928, 498), f"{config.tree_levels * stages.tree_level}", align="right")
    diagram.box(
        (842, _TREE - 28),
        (200, 56),
        f"adder tree over {config.windows} windows\n{config.row_lanes} rows a cycle",
        fill=SUMS,
    )


def _paint_tail(diagram: Diagram, config: AcceleratorConfig) -> None:
    """What happens behind the tree, from right to left."""
    stages, y = config.stages, _TREE
    diagram.arrow((842, y), (772, y))
    diagram.note((806, y - 12), f"{stages.chain_add}")
    diagram.box((662, y - 28), (110, 56), "+ sum of the\ncore before", fill=SUMS)
    diagram.arrow((717, y + 92), (717, y + 28), colour=RED)
    diagram.note(
        (730, y + 64),
        f"from the core before: {config.row_lanes} partial sums\n"
        f"of {config.partial_sum_bits} bits a cycle, FIFO of {config.chain_fifo}",
        align="left",
    )
    diagram.arrow((662, y), (606, y))
    diagram.note((634, y - 12), f"{stages.output_register}")
    diagram.box((506, y - 28), (100, 56), "output\nregister", fill=SUMS)
    diagram.arrow((556, y + 28), (556, y + 92), colour=RED)
    diagram.note((546, y + 64), "to the next core of the chain", align="right")
    diagram.arrow((506, y), (450, y))
    diagram.note((478, y - 12), "tail only", points=7.5)
    diagram.box((324, y - 28), (126, 56), "+ bias,\nrequantize (R4)", fill=TAIL)
    diagram.note((387, y - 42), f"{stages.requantize} cycles")
    diagram.arrow((324, y), (282, y))
    diagram.box((142, y - 28), (140, 56), "LSTM: gates, cell,\noutput (R5 to R8)", fill=TAIL)
    diagram.note((212, y - 42), f"{stages.pointwise} cycles")
    diagram.arrow((212, y + 92), (212, y + 28), colour=RED)
    diagram.note((202, y + 64), "gate inputs of\nthe neighbour", align="right")
    diagram.arrow((142, y), (92, y))
    diagram.box((20, y - 28), (72, 56), "flits", fill=NETWORK)
    diagram.arrow((56, y - 28), (56, y - 62))
    diagram.note((66, y - 52), "to the router", align="left")
