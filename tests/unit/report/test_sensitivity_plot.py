"""The picture of a scan shows every layer and the suggestion."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from sparsespeech.report.sensitivity_plot import draw_sensitivity

SCAN = {
    "utterances": 12,
    "loss_dense": 0.2,
    "matrices": [
        {
            "name": name,
            "parameters": 1000 * (number + 1),
            "points": [{"sparsity": s, "loss": 0.2 + s * (number + 1)} for s in (0.5, 0.9)],
        }
        for number, name in enumerate(["layer1.weight", "layer4.directions.0.weight_hh"])
    ],
}
SUGGESTED = {
    "target": 0.8,
    "total": 0.8,
    "loss_increase": 0.3,
    "matrices": {"layer1.weight": 0.0, "layer4.directions.0.weight_hh": 0.9},
}


def colours(path: Path) -> dict[tuple[int, ...], int]:
    with Image.open(path) as picture:
        return {colour: n for n, colour in picture.convert("RGB").getcolors(10**6)}


def test_lines_and_stars(tmp_path: Path) -> None:
    draw_sensitivity(SCAN, tmp_path / "scan.png")
    draw_sensitivity({**SCAN, "suggested": SUGGESTED}, tmp_path / "suggested.png")
    blue, orange, grey = (0, 114, 178), (230, 159, 0), (102, 102, 102)
    plain, starred = colours(tmp_path / "scan.png"), colours(tmp_path / "suggested.png")
    assert {blue, orange, grey} <= set(plain)
    assert starred[orange] > plain[orange] + 20  # a star, and none for the matrix left dense
    assert abs(starred[blue] - plain[blue]) < 20


def test_the_words_of_an_svg(tmp_path: Path) -> None:
    draw_sensitivity({**SCAN, "suggested": SUGGESTED}, tmp_path / "scan.svg")
    text = (tmp_path / "scan.svg").read_text()
    for words in ("layer1 (1,000): dense", "weight_hh (2,000): 90.0%", "12 utterances"):
        assert words in text
