"""Histograms: their area is 1, and integers never fall into bins of uneven width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from sparsespeech.report import weight_histograms
from sparsespeech.report.html import Markup
from sparsespeech.report.style import BLUE, GREY, ORANGE
from sparsespeech.report.weight_histograms import (
    compared_histograms,
    histogram,
    stored_histogram,
    value_limit,
)
from sparsespeech.report.weights import WeightMatrix, compress


def integer_matrix(values: list[int], scale: float | None) -> WeightMatrix:
    column = np.arange(len(values), dtype=np.int32)
    starts = np.array([0, len(values)])
    scales = None if scale is None else (scale, scale)
    return WeightMatrix("x", (1, 1000), starts, column, np.array(values, dtype=np.int16), scales)


def test_area_is_one_where_nothing_is_cut_off(rng: np.random.Generator) -> None:
    matrix = compress("x", rng.normal(size=(50, 40)))
    found = histogram(matrix, 1.01 * np.abs(matrix.value).max())
    assert (found.density * np.diff(found.edges)).sum() == pytest.approx(1.0)


@given(st.floats(1e-4, 0.1), st.floats(0.01, 5.0))
def test_every_bin_holds_as_many_integers(scale: float, limit: float) -> None:
    found = histogram(integer_matrix([1], scale), limit)
    steps = np.diff(found.edges) / scale
    assert steps == pytest.approx(np.full(steps.size, round(steps[0])))
    assert round(steps[0]) % 2 == 1  # so that no edge falls on an integer
    assert found.edges[0] <= -limit
    assert found.edges[-1] >= limit


def test_even_integers_give_an_even_histogram() -> None:
    values = [value for value in range(-100, 101) if value != 0]
    density = histogram(integer_matrix(values, 0.01), 0.9).density
    inner = density[1:-1]
    assert inner[inner != inner.min()] == pytest.approx(inner.max())  # all but the bin around 0


def test_limit_keeps_nearly_all_of_every_matrix() -> None:
    wide, narrow = integer_matrix([1] * 999 + [100], 0.5), integer_matrix([2] * 10, 0.5)
    assert value_limit([wide, narrow]) == pytest.approx(1.0)
    assert value_limit([compress("x", np.zeros((2, 2)))]) == 1.0


def test_stages_are_named_with_their_nonzeros(rng: np.random.Generator) -> None:
    dense = rng.normal(size=(20, 20))
    pruned = np.where(np.abs(dense) > 1, dense, 0)
    picture = compared_histograms(
        [("before pruning", compress("m", dense)), ("after pruning", compress("m", pruned))]
    )
    share = np.mean(pruned == 0)
    assert f"{share:.1%} of the weights are zero" in picture
    assert "before pruning, after pruning" in picture


@pytest.mark.parametrize("values", [[1, -3, 127], [5, 300, -2047], []])
def test_integers_of_any_width_have_a_picture(values: list[int]) -> None:
    picture = stored_histogram(integer_matrix(values, 0.01 if values else None))
    assert f"{len(values)} nonzeros" in picture


def painted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn from now on."""
    figures: list[Any] = []

    def paint_only(paint: Callable[[Any], None], *_: object) -> Markup:
        figures.append(Figure())
        paint(figures[-1])
        return Markup("")

    monkeypatch.setattr(weight_histograms, "draw_picture", paint_only)
    return figures


@pytest.mark.parametrize(
    ("titles", "colours"),
    [
        (["before pruning", "after retraining"], [GREY, BLUE]),
        (["after pruning", "after retraining"], [ORANGE, BLUE]),
        (["before pruning", "after pruning", "after retraining"], [GREY, ORANGE, BLUE]),
        (["stored weights"], [BLUE]),
    ],
)
def test_a_stage_has_the_same_colour_in_every_report(
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
    titles: list[str],
    colours: list[str],
) -> None:
    figures = painted(monkeypatch)
    matrix = compress("m", rng.normal(size=(5, 5)))
    compared_histograms([(title, matrix) for title in titles])
    shown = [axes.patches[0].get_facecolor() for axes in figures[0].axes]
    assert shown == [to_rgba(colour) for colour in colours]


@pytest.mark.parametrize("largest", [1, 127, 128, 300, 2047, 32767])
def test_every_integer_has_a_bar(monkeypatch: pytest.MonkeyPatch, largest: int) -> None:
    figures = painted(monkeypatch)
    stored_histogram(integer_matrix([largest, -largest, 1], None))
    (bars,) = figures[0].axes[0].patches
    counts, edges, _ = bars.get_data()
    assert counts.sum() == 3
    assert (edges == -edges[::-1]).all()


def test_floats_of_a_checkpoint_are_shown_as_floats(rng: np.random.Generator) -> None:
    matrix = compress("x", rng.normal(size=(5, 5)))
    assert "stored weights" in stored_histogram(matrix)
    assert dataclasses.replace(matrix, value=matrix.value.astype(np.int8)).is_integer
