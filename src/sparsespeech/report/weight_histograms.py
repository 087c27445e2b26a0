"""How large the weights are: before pruning, after pruning and after retraining.

The poster behind the MAU keynote shows the same three distributions: a bell, the bell with its
middle cut out, and two humps that retraining has spread.

Axes: n nonzeros, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.report.html import Markup
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Axes, Figure, draw_picture
from sparsespeech.report.style import BLUE, GREY, ORANGE
from sparsespeech.report.weights import WeightMatrix

_BINS = 101  # odd: the middle bin stands around 0
_KEPT = 99.8  # per cent of the nonzeros that the widest distribution shows
_COLOURS = {"before pruning": GREY, "after pruning": ORANGE}  # the report's subject: blue
_WIDTH, _PANEL_HEIGHT = 4.2, 1.25  # inches


@dataclass(frozen=True, eq=False)
class Histogram:
    """Density of the nonzeros over their values: its integral over all values is 1."""

    edges: NDArray[np.float64]  # float64[B + 1]
    density: NDArray[np.float64]  # float64[B]


def histogram(matrix: WeightMatrix, limit: float) -> Histogram:
    """Density of the real nonzeros in -limit..limit; integers fall into bins of whole steps.

    Bins that are no multiple of a step would hold now one more, now one less integer value.
    """
    width = 2 * limit / _BINS
    scale = 1.0 if matrix.scale is None else matrix.scale
    if matrix.is_integer:
        steps = max(1, round(width / scale))
        width = scale * (steps + 1 - steps % 2)
    half = max(1, int(np.ceil(limit / width)))
    edges = np.asarray(width * (np.arange(-half, half + 2) - 0.5), dtype=np.float64)
    counts, _ = np.histogram(scale * matrix.value.astype(np.float64), edges)
    return Histogram(edges, counts / (max(1, matrix.nonzeros) * width))


def value_limit(matrices: Sequence[WeightMatrix]) -> float:
    """The absolute value that 99.8 % of the nonzeros of every matrix stay below."""
    limits = [
        float(np.percentile(np.abs(matrix.value.astype(np.float64)), _KEPT))
        * (1.0 if matrix.scale is None else matrix.scale)
        for matrix in matrices
        if matrix.nonzeros
    ]
    return max(limits, default=1.0) or 1.0


def compared_histograms(stages: Sequence[tuple[str, WeightMatrix]]) -> Markup:
    """One matrix at several ``stages`` (title and weights), one panel below the other.

    All panels share the axis of values, so matrices must be in real units.
    """
    limit = value_limit([matrix for _, matrix in stages])

    def paint(figure: Figure) -> None:
        panels = figure.subplots(len(stages), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, matrix) in zip(panels, stages, strict=True):
            found = histogram(matrix, limit)
            axes.stairs(found.density, found.edges, fill=True, color=_COLOURS.get(title, BLUE))
            axes.set_title(f"{title}: {matrix.nonzeros:,} weights")
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        panels[-1].set_xlim(-limit, limit)
        panels[-1].set_xlabel("weight")
        figure.supylabel("density", fontsize=10)

    name = stages[-1][1].name
    picture = draw_picture(
        paint,
        f"Distribution of the nonzero weights of {name}: {', '.join(title for title, _ in stages)}",
        (_WIDTH, 0.5 + _PANEL_HEIGHT * len(stages)),
    )
    share = f"{stages[-1][1].sparsity:.1%} of the weights are zero and not shown."
    return captioned(picture, share, title=name)


def stored_histogram(matrix: WeightMatrix) -> Markup:
    """The values of one matrix as they are stored: integers, or floats of a checkpoint."""
    if not matrix.is_integer:
        return compared_histograms([("stored weights", matrix)])
    largest = int(np.abs(matrix.value).max(initial=1))
    step = -(-largest // 127)  # of wide models (R10) several values share a bar
    half = -(-largest // step)
    edges = step * (np.arange(-half, half + 2) - 0.5)
    counts, _ = np.histogram(matrix.value, edges)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.stairs(counts, edges, fill=True, color=BLUE)
        axes.set_xlabel("stored integer")
        axes.set_ylabel("weights" if step == 1 else f"weights in {step} values")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.margins(x=0.01)
        if matrix.scale is not None:
            _add_real_axis(axes, matrix.scale)

    picture = draw_picture(paint, f"Histogram of the stored integers of {matrix.name}")
    return captioned(
        picture,
        f"{matrix.nonzeros:,} nonzeros; the {matrix.sparsity:.1%} that are zero are not shown.",
        title=matrix.name,
    )


def _add_real_axis(axes: Axes, scale: float) -> None:
    above = axes.secondary_xaxis("top", functions=(lambda x: x * scale, lambda x: x / scale))
    above.set_xlabel("weight")
    above.spines["top"].set_visible(True)
