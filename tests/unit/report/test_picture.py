"""Pictures are drawings in the page that follow the reader's colours."""

from __future__ import annotations

import base64
import re
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.picture import draw_picture, themed
from sparsespeech.report.style import BLUE


def paint(figure: Any) -> None:
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLUE)
    axes.set_title("<title> & more")


def svg_of(picture: str) -> str:
    found = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', picture)
    assert found is not None
    return base64.b64decode(found[1]).decode()


def test_picture_is_an_image_with_a_description() -> None:
    picture = draw_picture(paint, 'a "description"')
    assert picture.startswith("<img ")
    assert 'alt="a &quot;description&quot;"' in picture
    root = ET.fromstring(svg_of(picture))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_colours_follow_the_scheme_of_the_reader() -> None:
    svg = svg_of(draw_picture(paint, "x"))
    assert "prefers-color-scheme:dark" in svg
    drawn = svg[svg.index("</style>") :]
    assert BLUE.lower() not in drawn
    assert re.search(r"stroke: var\(--c\d\)", drawn)


def test_every_variable_has_a_light_and_a_dark_value() -> None:
    svg = themed(f"<svg><defs></defs><path style='fill: {BLUE.lower()}'/></svg>")
    used = set(re.findall(r"var\((--c\d)\)", svg))
    light, dark = svg.split("@media")
    assert used
    for name in used:
        assert f"{name}:{BLUE}" in light
        assert f"{name}:#56b4e9" in dark


def test_same_drawing_gives_the_same_bytes() -> None:
    assert draw_picture(paint, "x") == draw_picture(paint, "x")


def test_missing_matplotlib_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"sparsespeech\[report\]"):
        draw_picture(paint, "x")
