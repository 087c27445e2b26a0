"""Pages carry everything in themselves, and no text can break out of its place."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.report.html import (
    Markup,
    Section,
    ShareCell,
    element,
    figure,
    folded,
    joined,
    page,
    table,
    tiles,
)

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'single'"


class Reader(HTMLParser):
    """Elements, attributes and text of a document; fails on an end tag without its start."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"img", "meta", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    reader.close()
    assert reader.open == []
    return reader


@given(st.text(), st.text())
def test_any_text_comes_back_as_text_and_attribute(text: str, value: str) -> None:
    reader = read(element("p", "x", text, title=value))
    assert reader.elements == [("p", {"title": value})]
    assert "".join(reader.texts) == "x" + text


@pytest.mark.parametrize(
    "build",
    [
        lambda text: element("p", text),
        joined,
        lambda text: tiles([(text, text, text)]),
        lambda text: table([text], [[text]], total=[text]),
        lambda text: figure(Markup("<img>"), text, title=text),
        lambda text: folded(text, element("p")),
        lambda text: page(text, text, Markup(), [Section(text, text, Markup())]),
    ],
)
def test_hostile_text_makes_no_element(build) -> None:  # type: ignore[no-untyped-def]
    document = build(HOSTILE)
    assert "script" not in [name for name, _ in read(document).elements]
    assert HOSTILE not in document
    assert "&lt;script&gt;" in document


def test_formatted_markup_is_escaped_again() -> None:
    assert element("p", f"{element('b', 'x')}") == "<p>&lt;b&gt;x&lt;/b&gt;</p>"


def test_markup_is_kept() -> None:
    assert element("p", element("b", "x"), class_="y") == '<p class="y"><b>x</b></p>'


def test_page_allows_nothing_from_elsewhere() -> None:
    document = page("title", "subtitle", Markup(), [Section("a", "A", Markup("<p>x</p>"))])
    reader = read(document)
    policies = [a for name, a in reader.elements if a.get("http-equiv")]
    assert policies == [
        {
            "http-equiv": "Content-Security-Policy",
            "content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        }
    ]
    assert document.startswith("<!DOCTYPE html>\n")
    assert ("a", {"href": "#a"}) in reader.elements
    assert ("section", {"id": "a"}) in reader.elements


def test_style_sheet_serves_dark_screens_and_paper() -> None:
    document = page("t", "s", Markup(), [])
    assert "@media (prefers-color-scheme: dark)" in document
    assert "@media print" in document


def test_share_cell_is_a_bar_of_its_share() -> None:
    document = table(["a", "b"], [["x", ShareCell(0.25)]])
    assert '<td class="number share" style="--share:25.00%">25.00%</td>' in document


def test_long_names_may_break_and_keep_their_text() -> None:
    document = table(["name"], [["layer4.forward.input_weights"]])
    assert "layer4.<wbr>forward.<wbr>input_<wbr>weights" in document


def test_numbers_do_not_break() -> None:
    assert "<wbr>" not in table(["a", "b"], [["x", "12.5"]])
