"""Conversion of a checkpoint whose activations have ranges that a test can reckon with."""

from __future__ import annotations

from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.checkpoint import Checkpoint


def plain_conversion(
    checkpoint: Checkpoint,
    ranges: dict[str, ActivationRange] | None = None,
    precision: Precision = EIGHT_BIT,
) -> Conversion:
    """Converted with ranges from -3 or 0 to 3 unless ``ranges`` say otherwise."""
    names = ("layer1", "layer2", "layer3", "layer5")
    outputs = {**dict.fromkeys(names, ActivationRange(0.0, 3.0)), **(ranges or {})}
    calibration = Calibration(ActivationRange(-3.0, 3.0), outputs, 1, 0.9)
    return convert(checkpoint, calibration, precision)
