"""The picture of a run is made from its log."""

import json
from pathlib import Path

import pytest
from PIL import Image

from sparsespeech.errors import CheckpointError
from sparsespeech.report.training_curve import draw_training_curve


def test_a_log_becomes_a_picture(tmp_path: Path) -> None:
    rows = [
        {"step": step, "loss": 3.0 / step, "sparsity": step / 100, "learning_rate": 1e-3}
        for step in range(1, 60)
    ]
    log = tmp_path / "log.jsonl"
    log.write_text(
        "\n".join(json.dumps(row) for row in [*rows, {"step": 59, "development_wer": 20.0}])
    )
    draw_training_curve(log, tmp_path / "curve.png", "test")
    with Image.open(tmp_path / "curve.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(10**6)}
    assert {(0, 114, 178), (213, 94, 0), (0, 158, 115)} <= colours  # loss, WER, sparsity drawn


def test_a_damaged_log_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("{")
    with pytest.raises(CheckpointError, match=r"log\.jsonl"):
        draw_training_curve(tmp_path / "log.jsonl", tmp_path / "x.png", "test")
