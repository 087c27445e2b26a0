"""Scales of activations that follow from multipliers are those that conversion chose."""

from __future__ import annotations

import re

import pytest

from sparsespeech.quantization.calibrate import calibrate
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.precision import Precision
from sparsespeech.report.activations import activation_table
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames


def cells(page: str) -> dict[str, list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    found = [
        [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in rows
    ]
    return {row[0]: row[1:] for row in found if row}


def converted(precision: Precision) -> Conversion:
    checkpoint = random_checkpoint(3)
    frames = [random_frames(seed, 20) for seed in range(4)]
    calibration = calibrate(build_model(checkpoint), frames)
    return convert(checkpoint, calibration, precision)


@pytest.mark.parametrize("precision", [Precision(8, 8, False), Precision(12, 16, False)])
def test_scales_are_those_of_the_conversion(precision: Precision) -> None:
    conversion = converted(precision)
    scales = {facts.name: float(facts.scale[0]) for facts in conversion.matrices}
    table = cells(activation_table(conversion.model, scales))
    for name, expected in conversion.outputs.items():
        scale, zero_point = table[f"{name} output"][:2]
        assert float(scale) == pytest.approx(expected.scale, rel=1e-3)
        assert int(zero_point) == expected.zero_point
    assert float(table["features"][0]) == pytest.approx(conversion.model.input.scale, rel=1e-3)


def test_range_follows_scale_and_zero_point() -> None:
    conversion = converted(Precision(8, 8, False))
    scales = {facts.name: float(facts.scale[0]) for facts in conversion.matrices}
    row = cells(activation_table(conversion.model, scales))["layer1 output"]
    expected = conversion.outputs["layer1"]
    low, high = (float(end.replace("−", "-")) for end in row[3].split(" to "))
    layer = conversion.model.layers[0]
    assert low == pytest.approx(expected.scale * (layer.low - expected.zero_point), abs=0.006)  # type: ignore[union-attr]
    assert high == pytest.approx(expected.scale * (layer.high - expected.zero_point), abs=0.006)  # type: ignore[union-attr]


def test_unknown_weight_scales_leave_the_range_open() -> None:
    conversion = converted(Precision(8, 8, True))
    table = cells(activation_table(conversion.model, {}))
    assert table["layer1 output"][0] == "unknown"
    assert table["layer1 output"][3] == ""
    assert float(table["layer4 output"][0]) == pytest.approx(1 / 127, rel=1e-3)  # fixed by R2
