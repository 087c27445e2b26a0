"""Boxes, arrows and labels for drawings of machines, in the one style of all figures.

Coordinates are hundredths of an inch from the upper left corner, y downwards, so a drawing of
``width`` x ``height`` units has text of the same size as any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.picture_file import save_figure
from sparsespeech.report.style import GREY, SETTINGS

INK = "#22222b"
PAPER = "#ffffff"
UNITS = 100  # an inch
RESOLUTION = 144  # dots an inch
TEXT_SIZE = 9.0
Axes = Any  # of matplotlib, imported when a picture is drawn
Point = tuple[float, float]


def tint(colour: str, strength: float) -> str:
    """``colour`` mixed with white: 0 is white, 1 the colour."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 + strength * (part - 255)):02x}" for part in parts)


class Diagram:
    """A sheet to draw on."""

    def __init__(self, axes: Axes, width: float, height: float) -> None:
        """The whole of ``axes`` as a sheet of ``width`` x ``height`` units."""
        axes.set_position([0, 0, 1, 1])
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        axes.axis("off")
        self.axes = axes

    def box(
        self,
        corner: Point,
        size: Point,
        text: str = "",
        *,
        fill: str = PAPER,
        edge: str = INK,
        line: str = "-",
        width: float = 1.0,
        round_by: float = 4.0,
        **style: Any,
    ) -> None:
        """A box from its upper left corner, with ``text`` in the middle."""
        from matplotlib.patches import FancyBboxPatch

        self.axes.add_patch(
            FancyBboxPatch(
                corner,
                *size,
                boxstyle=f"round,pad=0,rounding_size={round_by}",
                facecolor=fill,
                edgecolor=edge,
                linestyle=line,
                linewidth=width,
            )
        )
        if text:
            self.text((corner[0] + size[0] / 2, corner[1] + size[1] / 2), text, **style)

    def text(
        self,
        place: Point,
        text: str,
        *,
        points: float = TEXT_SIZE,
        colour: str = INK,
        align: str = "center",
        vertical: str = "center",
        bold: bool = False,
        **style: Any,
    ) -> None:
        """Lines of text at ``place``."""
        self.axes.text(
            *place,
            text,
            fontsize=points,
            color=colour,
            ha=align,
            va=vertical,
            fontweight="bold" if bold else "normal",
            linespacing=1.3,
            **style,
        )

    def note(self, place: Point, text: str, **style: Any) -> None:
        """Smaller text in grey."""
        self.text(place, text, **{"points": 8.0, "colour": GREY, **style})

    def arrow(
        self,
        *way: Point,
        colour: str = INK,
        width: float = 1.3,
        line: str = "-",
        head: bool = True,
    ) -> None:
        """A line through ``way``, with a head at the last."""
        for start, stop in pairwise(way[:-1]):
            self._line([start, stop], colour, width, line)
        style = "-|>,head_width=0.25,head_length=0.5" if head else "-"
        self.axes.annotate(
            "",
            way[-1],
            way[-2],
            arrowprops={
                "arrowstyle": style,
                "color": colour,
                "linewidth": width,
                "linestyle": line,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )

    def _line(self, way: Sequence[Point], colour: str, width: float, line: str) -> None:
        self.axes.plot(
            [x for x, _ in way],
            [y for _, y in way],
            color=colour,
            linewidth=width,
            linestyle=line,
            solid_capstyle="projecting",
        )


def draw(picture: Path, size: Point, paint: Callable[[Diagram], None]) -> None:
    """Write the diagram of ``size`` units that ``paint`` fills to ``picture`` (PNG or SVG).

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "pictures need matplotlib: pip install 'sparsespeech[report]'"
        ) from None
    with style.context([SETTINGS, {"figure.constrained_layout.use": False}]):
        figure = Figure(figsize=(size[0] / UNITS, size[1] / UNITS), facecolor=PAPER)
        paint(Diagram(figure.add_axes((0, 0, 1, 1)), *size))
        save_figure(figure, picture, dpi=RESOLUTION)
