"""What ``sparsespeech quantize`` tells of a quantized checkpoint: figures, tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from sparsespeech.cli.tables import figures_table

if TYPE_CHECKING:
    from sparsespeech.model_file.statistics import ModelStatistics
    from sparsespeech.quantization.post_training import QuantizedCheckpoint


def quantization_figures(
    result: QuantizedCheckpoint, statistics: ModelStatistics
) -> dict[str, Any]:
    """The JSON object: sizes and fidelity, then layers and matrices."""
    fidelity, conversion = result.fidelity, result.conversion
    layers: list[dict[str, Any]] = [
        {
            "layer": "input",
            "scale": conversion.model.input.scale,
            "zero_point": conversion.model.input.zero_point,
            "sqnr_db": fidelity.sqnr_db["input"],
        }
    ]
    for layer in conversion.model.layers:
        parameters = conversion.outputs.get(layer.name)
        layers.append(
            {
                "layer": layer.name,
                "scale": parameters.scale if parameters else None,
                "zero_point": parameters.zero_point if parameters else None,
                "sqnr_db": fidelity.sqnr_db[layer.name],
            }
        )
    return {
        "parameters": statistics.parameters,
        "nonzeros": statistics.nonzeros,
        "sparsity": statistics.sparsity,
        "bytes_dense_float32": statistics.bytes_dense_float32,
        "bytes_stored": statistics.bytes_stored,
        "rounded_to_zero": sum(matrix.vanished for matrix in conversion.matrices),
        "ranges": result.calibration.source,
        "calibration_utterances": result.calibration.utterances,
        "calibration_momentum": result.calibration.momentum,
        "compared_utterances": fidelity.utterances,
        "compared_frames": fidelity.frames,
        "argmax_changed": fidelity.argmax_changed,
        "logits_differing_from_reference": fidelity.differing_logits,
        "layers": layers,
        "matrices": [
            {
                "matrix": matrix.name,
                "rows": matrix.shape[0],
                "columns": matrix.shape[1],
                "nonzeros": matrix.nonzeros,
                "rounded_to_zero": matrix.vanished,
                "smallest_scale": float(matrix.scale.min()),
                "largest_scale": float(matrix.scale.max()),
            }
            for matrix in conversion.matrices
        ],
    }


def activation_table(result: QuantizedCheckpoint) -> Table:
    """Scale, zero point and noise of the input and of every layer."""
    table = figures_table("activations", "scale", "zero point", "signal to noise")
    source, ratios = result.conversion.model.input, result.fidelity.sqnr_db
    table.add_row(
        "input", f"{source.scale:.4g}", str(source.zero_point), decibel_text(ratios["input"])
    )
    for layer in result.conversion.model.layers:
        parameters = result.conversion.outputs.get(layer.name)
        logits = "int64" if result.conversion.model.activation_bits == 16 else "int32"
        shown = (
            (logits, "-")
            if parameters is None
            else (f"{parameters.scale:.4g}", str(parameters.zero_point))
        )
        table.add_row(layer.name, *shown, decibel_text(ratios[layer.name]))
    return table


def weight_table(result: QuantizedCheckpoint) -> Table:
    """Shape, scale and nonzeros of every matrix."""
    table = figures_table("weights", "shape", "scale", "nonzeros", "rounded to 0")
    for matrix in result.conversion.matrices:
        low, high = float(matrix.scale.min()), float(matrix.scale.max())
        scale = f"{low:.4g}" if low == high else f"{low:.2g} .. {high:.2g}"
        table.add_row(
            matrix.name,
            f"{matrix.shape[0]}×{matrix.shape[1]}",
            scale,
            f"{matrix.nonzeros:,}",
            f"{matrix.vanished:,}",
        )
    return table


def summary_lines(result: QuantizedCheckpoint, statistics: ModelStatistics) -> list[str]:
    """What calibration, comparison and sizes come to, in words."""
    fidelity = result.fidelity
    return [
        f"{_ranges(result)}; compared with the float model "
        f"on {fidelity.utterances} of them ({fidelity.frames} frames)",
        f"likeliest label changed in {fidelity.argmax_changed:.2%} of frames; "
        f"{fidelity.differing_logits} logits differ between fake-quantize and the reference",
        f"{statistics.parameters:,} parameters, {statistics.nonzeros:,} nonzeros "
        f"({statistics.sparsity:.2%} sparse), {statistics.bytes_dense_float32:,} bytes as dense "
        f"float32, {statistics.bytes_stored:,} bytes stored",
    ]


def _ranges(result: QuantizedCheckpoint) -> str:
    calibration = result.calibration
    if calibration.source == "calibration":
        return f"calibrated on {calibration.utterances} utterances"
    return f"ranges of {calibration.source} ({calibration.utterances} utterances)"


def decibel_text(decibel: float | None) -> str:
    """``35.9 dB``, or a dash where a layer is silent or exact."""
    return "-" if decibel is None else f"{decibel:.1f} dB"
