"""``sparsespeech quantize CHECKPOINT``: calibrate a checkpoint and write the integer model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.lookup import SUFFIX

if TYPE_CHECKING:
    from sparsespeech.model_file.statistics import ModelStatistics
    from sparsespeech.quantization.post_training import QuantizedCheckpoint
    from sparsespeech.training.checkpoint import Checkpoint

DEFAULT_UTTERANCES = 100
_FILE_WIDTH = 120  # characters, where the output is no terminal


def run(
    checkpoint: Annotated[
        Path, typer.Argument(help="Run folder of 'sparsespeech train', or one of its checkpoints.")
    ],
    manifest: Annotated[
        Path, typer.Option(help="Manifest to calibrate on: training speech, never a test set.")
    ],
    output: Annotated[
        Path, typer.Option(help="Model file to write, NAME.safetensors, or an existing folder.")
    ],
    split: Annotated[
        str | None, typer.Option(help="Only the utterances of this split of the manifest.")
    ] = None,
    utterances: Annotated[
        int | None,
        typer.Option(min=1, help="Calibration utterances; default: the recipe's, else 100."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the calibration utterances.")] = 0,
    per_row: Annotated[
        bool | None,
        typer.Option(
            "--per-row/--per-matrix",
            help="One weight scale a row or one a matrix; default: the recipe's, else a matrix.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Quantize weights and activations to 8 bits and write the integer model file.

    Activation ranges are moving averages over the calibration utterances. The noise ratios
    compare the integer model with the float model on some of them.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.model_file.statistics import model_statistics
    from sparsespeech.model_file.writer import write_model
    from sparsespeech.quantization.post_training import quantize_checkpoint
    from sparsespeech.training.checkpoint import load_checkpoint

    _check_output(output)  # before minutes of work, not after
    source = load_checkpoint(checkpoint)
    count = utterances or int(_recipe_default(source, "calibration_utterances", DEFAULT_UTTERANCES))
    if per_row is None:
        per_row = bool(_recipe_default(source, "per_row", False))
    with Progress(console=Console(stderr=True)) as progress:
        result = quantize_checkpoint(
            source,
            read_manifest(manifest, split=split),
            count=count,
            seed=seed,
            per_row=per_row,
            progress=progress,
        )
    model = result.conversion.model
    write_model(model, output)
    statistics = model_statistics(model)
    if as_json:
        facts = {
            "model": str(output),
            "checkpoint": str(source.path),
            "per_row": per_row,
            "seed": seed,
        }
        typer.echo(json.dumps({**facts, **_figures(result, statistics)}))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    console.print(_layer_table(result))
    console.print(_matrix_table(result))
    for line in _summary(result, statistics):
        console.print(line, markup=False, highlight=False)
    console.print(f"written: {output}", markup=False, highlight=False, soft_wrap=True)


def _check_output(output: Path) -> None:
    if not output.parent.is_dir():
        raise ModelFileError(f"{output}: there is no folder {output.parent}; create it first")
    if output.suffix != SUFFIX and not output.is_dir():
        raise ModelFileError(f"{output}: the name of a model file must end in {SUFFIX}")


def _recipe_default(source: Checkpoint, key: str, otherwise: Any) -> Any:
    """A default that the checkpoint's recipe states in its section ``quantization``."""
    return source.facts["recipe"].get("quantization", {}).get(key, otherwise)


def _figures(result: QuantizedCheckpoint, statistics: ModelStatistics) -> dict[str, Any]:
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


def _layer_table(result: QuantizedCheckpoint) -> Table:
    table = _table("activations", "scale", "zero point", "signal to noise")
    source, ratios = result.conversion.model.input, result.fidelity.sqnr_db
    table.add_row("input", f"{source.scale:.4g}", str(source.zero_point), _ratio(ratios["input"]))
    for layer in result.conversion.model.layers:
        parameters = result.conversion.outputs.get(layer.name)
        shown = (
            ("int32", "-")
            if parameters is None
            else (f"{parameters.scale:.4g}", str(parameters.zero_point))
        )
        table.add_row(layer.name, *shown, _ratio(ratios[layer.name]))
    return table


def _matrix_table(result: QuantizedCheckpoint) -> Table:
    table = _table("weights", "shape", "scale", "nonzeros", "rounded to 0")
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


def _summary(result: QuantizedCheckpoint, statistics: ModelStatistics) -> list[str]:
    fidelity = result.fidelity
    return [
        f"calibrated on {result.calibration.utterances} utterances; compared with the float model "
        f"on {fidelity.utterances} of them ({fidelity.frames} frames)",
        f"likeliest label changed in {fidelity.argmax_changed:.2%} of frames; "
        f"{fidelity.differing_logits} logits differ between fake-quantize and the reference",
        f"{statistics.parameters:,} parameters, {statistics.nonzeros:,} nonzeros "
        f"({statistics.sparsity:.2%} sparse), {statistics.bytes_dense_float32:,} bytes as dense "
        f"float32, {statistics.bytes_stored:,} bytes stored",
    ]


def _ratio(decibel: float | None) -> str:
    return "-" if decibel is None else f"{decibel:.1f} dB"


def _table(name: str, *headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
