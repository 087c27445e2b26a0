"""What the stored activations are worth: scales, zero points and ranges between the layers.

A model file holds multipliers, no scales of activations (no float crosses its boundary). Rule R4
makes the multiplier M and shift s of a layer stand for ``s_w * s_x / s_y``, so each output scale
follows from the scales of weights and input, to about five digits.
"""

from __future__ import annotations

from collections.abc import Mapping

from sparsespeech.integer_arithmetic.fixed_point import (
    LSTM_OUTPUT_SCALE,
    LSTM_OUTPUT_ZERO_POINT,
    WIDE_LSTM_OUTPUT_SCALE,
)
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    IntegerModel,
    LinearLayer,
    LstmLayer,
    OutputLayer,
    Requantizer,
)
from sparsespeech.report.html import Markup, table

_LSTM_OUTPUT = {  # scale and zero point of R2 and R10
    8: (LSTM_OUTPUT_SCALE, LSTM_OUTPUT_ZERO_POINT),
    16: (WIDE_LSTM_OUTPUT_SCALE, 0),
}
_HEADINGS = ("values", "scale", "zero point", "stored", "range")
_ENDS = {8: (0, 255), 16: (-32768, 32767)}


def activation_table(model: IntegerModel, weight_scales: Mapping[str, float | None]) -> Markup:
    """A row for the features and one a layer; ``weight_scales`` by name of matrix."""
    ends = _ENDS[model.activation_bits]
    scale: float | None = model.input.scale
    rows = [_row("features", scale, model.input.zero_point, ends)]
    for layer in model.layers:
        match layer:
            case LinearLayer() | ConvolutionLayer():
                weight_scale = weight_scales.get(f"{layer.name}.weights")
                scale = output_scale(weight_scale, scale, layer.requantize)
                clamp = (layer.low, layer.high)
                rows.append(_row(f"{layer.name} output", scale, layer.output_zero_point, clamp))
            case LstmLayer(forward=direction):
                scale, zero_point = _LSTM_OUTPUT[model.activation_bits]
                name = f"{layer.name} output"
                if direction.projection is not None:
                    rows.append(_row(f"{layer.name} before projection", scale, zero_point, ends))
                    matrix = f"{layer.name}.forward.projection.weights"
                    requantize = direction.projection.requantize
                    scale = output_scale(weight_scales.get(matrix), scale, requantize)
                    zero_point = direction.projection.output_zero_point
                rows.append(_row(name, scale, zero_point, ends))
            case OutputLayer():
                low, high = float(layer.scale.min()), float(layer.scale.max())
                step = f"{low:.3e}" if low == high else f"{low:.3e} to {high:.3e}"
                rows.append([f"{layer.name} logits (nats)", step, "", "", ""])
    return table(_HEADINGS, rows)


def output_scale(
    weights: float | None, inputs: float | None, requantize: Requantizer
) -> float | None:
    """``s_y = s_w * s_x * 2^s / M``; None where a scale is unknown or differs by row."""
    if weights is None or inputs is None or requantize.multiplier.size != 1:
        return None
    return weights * inputs * 2.0 ** int(requantize.shift[0]) / int(requantize.multiplier[0])


def _row(name: str, scale: float | None, zero_point: int, ends: tuple[int, int]) -> list[str]:
    stored = f"{ends[0]} to {ends[1]}"
    if scale is None:
        return [name, "unknown", f"{zero_point}", stored, ""]
    low, high = (scale * (end - zero_point) for end in ends)
    span = f"{low:.2f} to {high:.2f}".replace("-", "−")
    return [name, f"{scale:.3e}", f"{zero_point}", stored, span]
