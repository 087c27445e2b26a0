"""The byte ladder of deep compression as a picture and a table (``model_file/ladder.py``)."""

from __future__ import annotations

from sparsespeech.model_file.ladder import Ladder, Rung
from sparsespeech.report.html import Markup, joined, table
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Figure, draw_picture
from sparsespeech.report.style import BLUE, GREEN, GREY

_SIZE = (6.8, 2.9)  # inches


def ladder_section(ladder: Ladder) -> Markup:
    """Bytes of the whole model on each rung, then bits a nonzero by matrix."""
    rows = [
        [
            matrix.name,
            f"{matrix.nonzeros:,}",
            f"{matrix.values:,}",
            *(f"{rung.bits_per_nonzero:.2f}" for rung in matrix.rungs[1:]),
        ]
        for matrix in ladder.matrices
    ]
    total = ["all, with everything else", "", "", *_bits(ladder.rungs[1:])]
    headings = ["bits a nonzero", "nonzeros", "values", *(_words(r) for r in ladder.rungs[1:])]
    return joined(ladder_picture(ladder), table(headings, rows, total=total))


def ladder_picture(ladder: Ladder) -> Markup:
    """A bar a rung; the one that the file stands on is green."""
    rungs = ladder.rungs

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        colours = [_colour(rung, ladder) for rung in rungs]
        axes.barh(range(len(rungs)), [rung.bytes / 1e6 for rung in rungs], color=colours)
        axes.set_yticks(range(len(rungs)), [_words(rung) for rung in rungs])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        sizes = [rung.bytes / 1e6 for rung in rungs]
        axes.set_xlim(min(sizes) / 2, max(sizes) * 12)  # room for the figures
        axes.set_xlabel("MB (log scale)")
        for place, rung in enumerate(rungs):
            axes.annotate(
                f"{rung.bytes / 1e6:.3g} MB, {rung.ratio:.1f}×", (rung.bytes / 1e6, place),
                xytext=(4, 0), textcoords="offset points", va="center", fontsize=9,
            )  # fmt: skip

    stored = next(rung for rung in rungs if rung.name == ladder.stored_as)
    picture = draw_picture(paint, "Bytes of the model on each rung of compression", _SIZE)
    return captioned(
        picture,
        f"Green: this file ({_words(stored)}). Grey: what it replaces, and the bound that no code "
        f"of single values and gaps can pass.",
        wide=True,
    )


def _colour(rung: Rung, ladder: Ladder) -> str:
    if rung.name == ladder.stored_as:
        return GREEN
    return GREY if rung in (ladder.rungs[0], ladder.rungs[-1]) else BLUE


def _bits(rungs: tuple[Rung, ...]) -> list[str]:
    return [f"{rung.bits_per_nonzero:.2f}" for rung in rungs]


def _words(rung: Rung) -> str:
    """``sparse_int8`` as ``sparse int8``."""
    return rung.name.replace("_", " ")
