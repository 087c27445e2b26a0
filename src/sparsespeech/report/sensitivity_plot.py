"""The picture of a sensitivity scan: one line a matrix, a star where it should be pruned to.

The axis of sparsity is that of the density on a logarithmic scale: from 90 to 95 % is as far as
from 95 to 97.5 %, as it is for the bytes that remain.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.picture_file import save_figure
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED, SETTINGS

_COLOURS = (BLUE, ORANGE, GREEN, RED, "#CC79A7", "#56B4E9", "#000000")
_LINES = ("-", "--", ":", "-.")


def draw_sensitivity(scan: dict[str, Any], picture: Path) -> None:
    """Draw the values of a ``sensitivity.json`` into ``picture`` (PNG or SVG by its suffix).

    Matrices of one layer share a colour. Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "pictures need matplotlib: pip install 'sparsespeech[train]'"
        ) from None
    suggested = scan.get("suggested", {}).get("matrices", {})
    with style.context(SETTINGS):
        figure = Figure(figsize=(9, 5))
        axes = figure.subplots()
        looks = _looks([matrix["name"] for matrix in scan["matrices"]])
        for matrix in scan["matrices"]:
            colour, line = looks[matrix["name"]]
            points = [(p["sparsity"], p["loss"]) for p in matrix["points"]]
            densities = [100 * (1 - sparsity) for sparsity, _ in points]
            losses = [loss for _, loss in points]
            axes.plot(densities, losses, color=colour, linestyle=line, marker="o", markersize=4,
                      label=_label(matrix, suggested))  # fmt: skip
            wanted = suggested.get(matrix["name"], 0.0)
            if wanted > 0:
                axes.plot(100 * (1 - wanted), _loss_at(points, wanted, scan["loss_dense"]),
                          color=colour, marker="*", markersize=13, linestyle="none")  # fmt: skip
        axes.axhline(scan["loss_dense"], color=GREY, linewidth=1)
        axes.annotate("as it is", (1, scan["loss_dense"]), xycoords=("axes fraction", "data"),
                      color=GREY, fontsize=9, ha="right", va="bottom")  # fmt: skip
        _scale(axes, sorted({p["sparsity"] for m in scan["matrices"] for p in m["points"]}))
        axes.set_title(_title(scan))
        axes.legend(fontsize=8, loc="upper left")
        save_figure(figure, picture)


def _looks(names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour of the layer and line style of the matrix in it."""
    layers: dict[str, list[str]] = {}
    for name in names:
        layers.setdefault(re.split(r"\.", name)[0], []).append(name)
    return {
        name: (_COLOURS[number % len(_COLOURS)], _LINES[place % len(_LINES)])
        for number, members in enumerate(layers.values())
        for place, name in enumerate(members)
    }


def _label(matrix: dict[str, Any], suggested: dict[str, float]) -> str:
    name, size = matrix["name"].removesuffix(".weight"), matrix["parameters"]
    shown = f"{name} ({size / 1e6:.2f} M)" if size >= 1e5 else f"{name} ({size:,})"
    if matrix["name"] not in suggested:
        return shown
    wanted = suggested[matrix["name"]]
    return f"{shown}: {wanted:.1%}" if wanted else f"{shown}: dense"


def _title(scan: dict[str, Any]) -> str:
    title = f"Each matrix pruned alone, {scan['utterances']} utterances"
    if "suggested" in scan:
        title += f"; stars: {scan['suggested']['total']:.1%} in total, equal loss increase"
    return title


def _scale(axes: Any, sparsities: list[float]) -> None:
    axes.set_xscale("log")
    axes.invert_xaxis()  # sparser to the right
    axes.set_xticks([100 * (1 - s) for s in sparsities], [f"{100 * s:g}" for s in sparsities])
    axes.minorticks_off()
    axes.set_yscale("log")
    axes.set_xlabel("sparsity of the matrix (%)")
    axes.set_ylabel("CTC loss (nats a character)")


def _loss_at(points: list[tuple[float, float]], sparsity: float, loss_dense: float) -> float:
    """Loss on the line between the neighbours of ``sparsity``."""
    before = (0.0, loss_dense)
    for point in points:
        if point[0] >= sparsity:
            share = (sparsity - before[0]) / (point[0] - before[0])
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
