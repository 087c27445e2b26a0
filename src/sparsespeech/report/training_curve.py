"""The picture of a training run: loss, word error rate and sparsity over the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsespeech.errors import MissingDependencyError
from sparsespeech.report.picture_file import save_figure
from sparsespeech.report.run_course import logged_series
from sparsespeech.report.style import BLUE, GREEN, GREY, RED, SETTINGS


def draw_training_curve(rows: list[dict[str, Any]], picture: Path, title: str) -> None:
    """Draw ``rows`` (the entries of a run's log) into ``picture`` (PNG or SVG by its suffix).

    Raises MissingDependencyError without matplotlib.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "pictures need matplotlib: pip install 'sparsespeech[train]'"
        ) from None
    with style.context(SETTINGS):
        figure = Figure(figsize=(8, 4.5))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        loss, wer, sparsity, learning_rate = (
            logged_series(rows, key)
            for key in ("loss", "development_wer", "sparsity", "learning_rate")
        )
        above.plot(loss.steps, loss.values, color=BLUE, linewidth=1)
        above.set_yscale("log")
        above.set_ylabel("CTC loss\n(nats a character)", color=BLUE)
        above.set_title(title)
        errors = above.twinx()
        errors.grid(visible=False)
        errors.plot(wer.steps, wer.values, color=RED, marker="o", markersize=4)
        errors.set_ylim(0, max(100.0, 1.05 * wer.values.max(initial=0.0)))  # insertions count too
        errors.set_ylabel("development WER (%)", color=RED)
        errors.spines["right"].set_visible(True)
        below.plot(sparsity.steps, 100 * sparsity.values, color=GREEN)
        below.set_ylabel("sparsity (%)", color=GREEN)
        below.set_ylim(0, 100)
        rate = below.twinx()
        rate.grid(visible=False)
        rate.plot(learning_rate.steps, learning_rate.values, color=GREY, linestyle="--")
        rate.set_ylabel("learning rate", color=GREY)
        rate.spines["right"].set_visible(True)
        below.set_xlabel("step")
        save_figure(figure, picture)
