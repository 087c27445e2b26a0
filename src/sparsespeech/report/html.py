"""Self-contained HTML that no data can break: text is escaped unless it was built here.

:func:`element` escapes every child and every attribute that is not :class:`Markup`, and only
functions of this module make Markup. A page carries its style sheet in itself, its pictures are
data URIs, and its content security policy forbids scripts and every address outside the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

_VOID = frozenset({"img", "meta"})  # elements without an end tag
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class Markup(str):
    """HTML that is safe as it is; joining or formatting it gives a plain, unsafe string again."""

    __slots__ = ()


@dataclass(frozen=True)
class ShareCell:
    """A table cell with a share from 0 to 1, shown in per cent over a bar of that length."""

    share: float
    digits: int = 2


@dataclass(frozen=True)
class Section:
    """A part of a page: ``key`` is its anchor, ``title`` its heading and its line in the list."""

    key: str
    title: str
    content: Markup


Cell = str | ShareCell


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """``<name attributes>children</name>``; an attribute ``class_`` is written ``class``."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """The children one after the other, escaped where they are no Markup."""
    return Markup("".join(_escaped(child) for child in children))


def paragraph(*children: str) -> Markup:
    """A paragraph of text."""
    return element("p", *children)


def tiles(facts: Iterable[tuple[str, str, str]]) -> Markup:
    """Large figures side by side: name, value and a remark each."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", value),
                element("dd", remark, class_="remark"),
            )
            for name, value, remark in facts
        ),
        class_="tiles",
    )


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    text_columns: int = 1,
    total: Sequence[Cell] | None = None,
) -> Markup:
    """A table in a box that scrolls on narrow screens; the first columns are text, left bound."""
    head = element(
        "tr",
        *(
            element("th", heading, scope="col", class_="text" if place < text_columns else "number")
            for place, heading in enumerate(headings)
        ),
    )
    parts = [
        element("thead", head),
        element("tbody", *(_row(row, text_columns) for row in rows)),
    ]
    if total is not None:
        parts.append(element("tfoot", _row(total, text_columns)))
    return element("div", element("table", *parts), class_="scroll")


def figure(picture: Markup, caption: str, *, title: str = "", wide: bool = False) -> Markup:
    """A picture below its title and above its caption; a wide one scrolls on narrow screens."""
    heading = element("h3", title) if title else Markup()
    box = element("div", picture, class_="scroll") if wide else picture
    note = element("figcaption", caption)
    return element("figure", heading, box, note, class_="wide" if wide else "medium")


def gallery(figures: Iterable[Markup]) -> Markup:
    """Figures side by side, as many in a row as the screen is wide."""
    return element("div", *figures, class_="gallery")


def folded(title: str, content: Markup) -> Markup:
    """Content behind a line that opens it."""
    return element("details", element("summary", title), content)


def page(title: str, subtitle: str, opening: Markup, sections: Sequence[Section]) -> str:
    """The whole document: heading, opening, list of sections, sections."""
    contents = element(
        "nav",
        *(element("a", section.title, href=f"#{section.key}") for section in sections),
        aria_label="Sections",
    )
    body = element(
        "body",
        element("header", element("h1", title), element("p", subtitle, class_="subtitle")),
        element(
            "main",
            opening,
            contents,
            *(
                element("section", element("h2", section.title), section.content, id=section.key)
                for section in sections
            ),
        ),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(_style_sheet())),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _row(cells: Sequence[Cell], text_columns: int) -> Markup:
    return element("tr", *(_cell(cell, place < text_columns) for place, cell in enumerate(cells)))


def _cell(cell: Cell, is_text: bool) -> Markup:
    if isinstance(cell, ShareCell):
        length = f"--share:{100 * cell.share:.2f}%"
        return element("td", f"{cell.share:.{cell.digits}%}", class_="number share", style=length)
    return element("td", _breakable(cell), class_="text" if is_text else "number")


def _breakable(cell: str) -> str:
    """Long names of matrices may break behind a dot or an underscore on narrow screens."""
    if isinstance(cell, Markup) or " " in cell or not cell[:1].isalpha():
        return cell
    parts = re.split(r"(?<=[._])", cell)
    return joined(parts[0], *(joined(Markup("<wbr>"), part) for part in parts[1:]))


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else escape(text)


def _style_sheet() -> str:
    return files("sparsespeech.report").joinpath("page.css").read_text(encoding="utf-8")
