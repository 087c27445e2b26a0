"""The picture of a run is made from its log."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from sparsespeech.report import training_curve
from sparsespeech.report.training_curve import draw_training_curve

ROWS: list[dict[str, Any]] = [
    {"step": step, "loss": 3.0 / step, "sparsity": step / 100, "learning_rate": 1e-3}
    for step in range(1, 60)
]


def test_a_log_becomes_a_picture(tmp_path: Path) -> None:
    rows = [*ROWS, {"step": 59, "development_wer": 20.0}]
    draw_training_curve(rows, tmp_path / "curve.png", "test")
    with Image.open(tmp_path / "curve.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours  # loss, WER, sparsity drawn


@pytest.mark.parametrize(("wer", "top"), [([], 100), ([20.0], 100), ([160.0, 20.0], 168)])
def test_more_errors_than_words_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wer: list[float], top: float
) -> None:
    figures: list[Figure] = []
    monkeypatch.setattr(training_curve, "save_figure", lambda figure, _: figures.append(figure))
    rows = [*ROWS, *({"step": step, "development_wer": value} for step, value in enumerate(wer))]
    draw_training_curve(rows, tmp_path / "curve.png", "test")
    errors = figures[0].axes[2]
    assert errors.get_ylabel() == "development WER (%)"
    assert errors.get_ylim() == pytest.approx((0, top))
    assert errors.lines[0].get_ydata() == pytest.approx(wer)
