"""The course of a run: losses, word error rate, sparsity and changes of the masks.

The poster behind the MAU keynote draws training loss, validation loss and total sparsity of an
iteratively pruned network over the epochs; here they share the axis of steps.
"""

from __future__ import annotations

import numpy as np

from sparsespeech.report.html import Markup
from sparsespeech.report.html import figure as captioned
from sparsespeech.report.picture import Axes, Figure, draw_picture
from sparsespeech.report.run_course import RunCourse, Series
from sparsespeech.report.style import BLUE, GREEN, GREY, ORANGE, RED

_SIZE = (7.5, 5.6)  # inches
_SMOOTHED = 40  # a median of the training loss stands for this part of the run


def smoothed(series: Series) -> Series:
    """Running median over a fortieth of the points, which single hard batches do not lift."""
    width = max(1, len(series) // _SMOOTHED)
    medians = [
        float(np.median(series.values[max(0, place - width) : place + width + 1]))
        for place in range(len(series))
    ]
    return Series(series.steps, np.array(medians))


def loss_curves(course: RunCourse, name: str) -> Markup:
    """Three panels over the steps: losses, word error rate, sparsity with mask changes."""

    def paint(figure: Figure) -> None:
        panels = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
        _paint_losses(panels[0], course)
        _paint_word_error_rate(panels[1], course.development_wer)
        _paint_sparsity(panels[2], course)
        panels[2].set_xlabel("step")
        panels[2].xaxis.set_major_formatter("{x:,.0f}")
        figure.align_ylabels(panels)

    caption = "Thin: the training loss of single steps; thick: its running median."
    if not len(course.development_loss):
        caption += " This run did not log a validation loss."
    if course.ramp is not None:
        caption += " Shaded: the ramp, in which the sparsity grows."
    picture = draw_picture(paint, f"Losses, word error rate and sparsity of {name}", _SIZE)
    return captioned(picture, caption, wide=True)


def _paint_losses(axes: Axes, course: RunCourse) -> None:
    axes.plot(course.loss.steps, course.loss.values, color=BLUE, linewidth=0.5, alpha=0.4)
    middle = smoothed(course.loss)
    axes.plot(middle.steps, middle.values, color=BLUE, linewidth=1.6, label="training")
    found = course.development_loss
    if len(found):
        axes.plot(found.steps, found.values, color=ORANGE, marker="o", markersize=3.5,
                  linewidth=1.4, label="validation")  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(_two_or_five)
    axes.set_ylabel("CTC loss\n(nats a character)")
    if course.ramp is not None:
        axes.axvspan(*course.ramp, color=GREY, alpha=0.12, linewidth=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderpad=0)  # off the curves


def _two_or_five(value: float, _: int | None = None) -> str:
    """Labels between the powers of ten: those of 2 and 5, or a wide axis would be full."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _paint_word_error_rate(axes: Axes, found: Series) -> None:
    axes.plot(found.steps, found.values, color=RED, marker="o", markersize=3.5, linewidth=1.4)
    if len(found):
        axes.annotate(
            f"{found.values[-1]:.1f}", (found.steps[-1], found.values[-1]), color=RED,
            xytext=(0, 6), textcoords="offset points", ha="center",
        )  # fmt: skip
    axes.set_ylim(0, 1.25 * found.values.max(initial=1.0))
    axes.set_ylabel("development\nWER (%)")


def _paint_sparsity(axes: Axes, course: RunCourse) -> None:
    axes.plot(course.sparsity.steps, 100 * course.sparsity.values, color=GREEN, linewidth=1.6)
    axes.set_ylim(0, 105)
    axes.set_ylabel("sparsity (%)")
    if not len(course.changed):
        return
    other = axes.twinx()
    other.grid(visible=False)
    axes.set_zorder(other.get_zorder() + 1)  # the curve stands before the lines
    axes.patch.set_visible(False)
    # The first update of a ramp may take most of the weights: only a log scale shows the others.
    other.set_yscale("log")
    other.vlines(course.changed.steps, 1, course.changed.values, color=GREY, linewidth=1, alpha=0.5)
    other.set_ylim(bottom=1)
    other.yaxis.set_major_formatter("{x:,.0f}")
    other.set_ylabel("mask entries\nchanged", color=GREY)
    other.spines["right"].set_visible(True)
