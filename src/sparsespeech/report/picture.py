"""Matplotlib pictures as data URIs in the page, in the one style and in the reader's colours.

Pictures are SVG, whose colours are turned into CSS variables with a light and a dark value, so
that a page that follows the reader's scheme takes its pictures along.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.html import Markup, element
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED, SETTINGS

Figure = Any  # of matplotlib, imported when a picture is drawn
Axes = Any

INK = "#22222b"  # text and axes
MEDIUM_SIZE = (4.2, 2.7)  # inches; on a phone the text stays at about 11 pixels
_DARK = {
    INK: "#e4e4ea",
    BLUE: "#56b4e9",
    ORANGE: "#f0b63c",
    GREEN: "#2fc79b",
    RED: "#ff8a3d",
    GREY: "#a5a5b2",
}
_COLOURS = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GREY,
    "savefig.transparent": True,
    "image.cmap": "viridis",
    "axes.titlesize": 10,
    "axes.axisbelow": True,
}


def draw_picture(
    paint: Callable[[Figure], None], description: str, size: tuple[float, float] = MEDIUM_SIZE
) -> Markup:
    """An ``<img>`` of the figure of ``size`` (inches) that ``paint`` fills.

    ``description`` is what a person hears who cannot see it. Raises MissingDependencyError
    without matplotlib.
    """
    try:
        from matplotlib import figure, style
    except ImportError:
        raise MissingDependencyError(
            "the pictures of a report need matplotlib: pip install 'sparsespeech[report]'"
        ) from None
    with style.context([SETTINGS, _COLOURS]):
        canvas = figure.Figure(figsize=size)
        paint(canvas)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    content = base64.b64encode(themed(stream.getvalue()).encode()).decode()
    return element("img", src=f"data:image/svg+xml;base64,{content}", alt=description)


def themed(svg: str) -> str:
    """The SVG with its known colours as CSS variables, light ones by default."""
    light, dark = [], []
    for number, (colour, dark_colour) in enumerate(_DARK.items()):
        svg = svg.replace(colour.lower(), f"var(--c{number})")
        light.append(f"--c{number}:{colour}")
        dark.append(f"--c{number}:{dark_colour}")
    rules = (
        f":root{{{';'.join(light)}}}@media (prefers-color-scheme:dark){{:root{{{';'.join(dark)}}}}}"
    )
    return svg.replace("<defs>", f"<style>{rules}</style>\n <defs>", 1)
