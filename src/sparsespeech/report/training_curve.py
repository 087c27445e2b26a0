"""The picture of a training run: loss, word error rate and sparsity over the steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsespeech.errors import MissingDependencyError
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
        above.plot(*_series(rows, "loss"), color=BLUE, linewidth=1)
        above.set_yscale("log")
        above.set_ylabel("CTC loss\n(nats a character)", color=BLUE)
        above.set_title(title)
        errors = above.twinx()
        errors.grid(visible=False)
        errors.plot(*_series(rows, "development_wer"), color=RED, marker="o", markersize=4)
        errors.set_ylim(0, 100)
        errors.set_ylabel("development WER (%)", color=RED)
        errors.spines["right"].set_visible(True)
        steps, sparsity = _series(rows, "sparsity")
        below.plot(steps, [100 * value for value in sparsity], color=GREEN)
        below.set_ylabel("sparsity (%)", color=GREEN)
        below.set_ylim(0, 100)
        rate = below.twinx()
        rate.grid(visible=False)
        rate.plot(*_series(rows, "learning_rate"), color=GREY, linestyle="--")
        rate.set_ylabel("learning rate", color=GREY)
        rate.spines["right"].set_visible(True)
        below.set_xlabel("step")
        figure.savefig(picture)


def _series(rows: list[dict[str, Any]], key: str) -> tuple[list[int], list[float]]:
    found = [(row["step"], row[key]) for row in rows if key in row]
    return [step for step, _ in found], [value for _, value in found]
