"""Where the weights are that pruning left: heat maps of the matrices, as on the MAU poster.

Axes: R rows, C columns, D and E blocks of rows and columns. A pixel is the share of nonzeros in
a block of the matrix. Blocks are powers of two on each side, so that an image has 48 to 96
pixels a side where the matrix is that large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.report.html import Markup
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Axes, Figure, draw_picture
from sparsespeech.report.weights import WeightMatrix

_PIXELS = 48  # the fewest of a side of at least so many rows or columns
_WIDTH = 4.2  # inches
_ASPECTS = (0.45, 1.6)  # lowest and highest image, height by width
_TOP = 99.5  # percentile of the blocks that the brightest colour stands for


def block_side(length: int) -> int:
    """The largest power of two that leaves at least 48 blocks of ``length``, else 1."""
    side = 1
    while -(-length // (2 * side)) >= _PIXELS:
        side *= 2
    return side


def block_density(matrix: WeightMatrix, side: tuple[int, int]) -> NDArray[np.float64]:
    """Share of nonzeros float64[D, E] in blocks of ``side`` rows and columns.

    Blocks at the lower and right edge may be smaller; their share is of what they hold.
    """
    down, across = (-(-length // edge) for length, edge in zip(matrix.shape, side, strict=True))
    block = matrix.rows() // side[0] * across + matrix.column // side[1]
    counts = np.bincount(block, minlength=down * across).reshape(down, across)
    heights, widths = (
        np.diff(np.minimum(np.arange(blocks + 1) * edge, length))
        for blocks, edge, length in zip((down, across), side, matrix.shape, strict=True)
    )
    return np.asarray(counts / np.outer(heights, widths))


def input_density(matrix: WeightMatrix, coefficients: int) -> NDArray[np.float64]:
    """Share of rows that read each input, float64[coefficients, frames of the window]."""
    share = matrix.column_nonzeros / matrix.shape[0]
    return np.asarray(share.reshape(-1, coefficients).T)


def heat_map(matrix: WeightMatrix) -> Markup:
    """The heat map of one matrix, gates marked, with its caption."""
    rows, columns = matrix.shape
    side = (block_side(rows), block_side(columns))
    density = block_density(matrix, side)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _show(figure, axes, density, (0, columns, rows, 0))
        axes.set_xlabel("column (input)")
        if matrix.gates:
            _mark_gates(axes, matrix)
        else:
            axes.set_ylabel("row (output)")

    low, high = _ASPECTS
    height = 0.75 + 0.72 * _WIDTH * min(max(rows / columns, low), high)
    picture = draw_picture(
        paint,
        f"Heat map of the nonzero weights of {matrix.name}: {1 - matrix.sparsity:.1%} in all",
        (_WIDTH, height),
    )
    return captioned(
        picture,
        f"{rows:,} × {columns:,}, {1 - matrix.sparsity:.1%} nonzero. "
        f"A pixel is {side[0]} × {side[1]} weights.",
        title=matrix.name,
    )


def input_map(matrix: WeightMatrix, coefficients: int) -> Markup:
    """The first layer's matrix by the sound it reads: frames of the window and coefficients."""
    density = input_density(matrix, coefficients)
    context = density.shape[1] // 2

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        edges = (-context - 0.5, context + 0.5, -0.5, coefficients - 0.5)
        _show(figure, axes, density[::-1], edges)
        axes.set_xlabel("frame of the window (0: now)")
        axes.set_ylabel("coefficient")

    picture = draw_picture(
        paint, f"Share of the rows of {matrix.name} that read each frame and coefficient"
    )
    return captioned(
        picture,
        f"The share of the {matrix.shape[0]:,} units of the first layer that read each coefficient "
        f"of each frame.",
        title="What the first layer listens to",
    )


def _show(
    figure: Figure,
    axes: Axes,
    density: NDArray[np.float64],
    extent: tuple[float, float, float, float],
) -> None:
    """``extent``: left, right, bottom, top. Colours run from 0 to the fullest blocks."""
    top = max(float(np.percentile(density, _TOP)), 1e-6)
    image = axes.imshow(
        100 * density, vmin=0, vmax=100 * top, extent=extent, aspect="auto", interpolation="none"
    )
    axes.grid(visible=False)
    over = "max" if density.max() > top * (1 + 1e-9) else "neither"
    bar = figure.colorbar(image, ax=axes, extend=over, pad=0.03, aspect=28)
    bar.set_label("nonzero weights (%)")
    bar.outline.set_visible(False)


def _mark_gates(axes: Axes, matrix: WeightMatrix) -> None:
    cells = matrix.shape[0] // len(matrix.gates)
    for gate in range(1, len(matrix.gates)):
        axes.axhline(gate * cells, color="white", linewidth=1.5)
    axes.set_yticks([(gate + 0.5) * cells for gate in range(len(matrix.gates))], matrix.gates)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel(f"gate ({cells:,} rows each)")
