"""The picture of a run is made from its log."""

from pathlib import Path

from PIL import Image

from sparsespeech.report.training_curve import draw_training_curve


def test_a_log_becomes_a_picture(tmp_path: Path) -> None:
    rows = [
        {"step": step, "loss": 3.0 / step, "sparsity": step / 100, "learning_rate": 1e-3}
        for step in range(1, 60)
    ]
    rows.append({"step": 59, "development_wer": 20.0})
    draw_training_curve(rows, tmp_path / "curve.png", "test")
    with Image.open(tmp_path / "curve.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours  # loss, WER, sparsity drawn
