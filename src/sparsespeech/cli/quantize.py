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
    from sparsespeech.quantization.precision import Precision
    from sparsespeech.training.checkpoint import Checkpoint

DEFAULT_UTTERANCES = 100
_FILE_WIDTH = 120  # characters, where the output is no terminal


def run(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT...",
            help="Run folder of 'sparsespeech train', or one of its checkpoints; several only "
            "with --compare.",
        ),
    ],
    manifest: Annotated[
        Path, typer.Option(help="Manifest to calibrate on: training speech, never a test set.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Model file to write, NAME.safetensors, or an existing folder."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only the utterances of this split of the manifest.")
    ] = None,
    utterances: Annotated[
        int | None,
        typer.Option(min=1, help="Calibration utterances; default: the recipe's, else 100."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the calibration utterances.")] = 0,
    weight_bits: Annotated[
        int | None,
        typer.Option(
            metavar="8|12|16",
            help="Bits of the weights; default: those of the checkpoint's fixed-point "
            "retraining, else 8.",
        ),
    ] = None,
    activation_bits: Annotated[
        int | None,
        typer.Option(
            metavar="8|16",
            help="Bits of the activations; default: 8 with 8-bit weights, else 16 (wide mode).",
        ),
    ] = None,
    per_row: Annotated[
        bool | None,
        typer.Option(
            "--per-row/--per-matrix",
            help="One weight scale a row or one a matrix; default: the recipe's, else a matrix.",
            show_default=False,
        ),
    ] = None,
    recalibrate: Annotated[
        bool,
        typer.Option(
            "--recalibrate", help="Calibrate even where fixed-point retraining has left its ranges."
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare", help="Write no file: a table of float, int8, 12 and 16 bit instead."
        ),
    ] = False,
    measure_on: Annotated[
        Path | None,
        typer.Option(
            help="With --compare: manifest of the error rates; default: the one of --manifest."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="With --compare: measure on the first N utterances.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.")
    ] = False,
) -> None:
    """Quantize weights and activations and write the integer model file.

    8 bits each by default; 12- or 16-bit weights with 16-bit activations are the wide mode, which
    --backend reference runs. Activation ranges are moving averages over the calibration
    utterances, or those of fixed-point retraining. The noise ratios compare the integer model
    with the float model on some of the utterances.
    """
    from sparsespeech.quantization.precision import ACTIVATION_BITS, check_bits

    if weight_bits is not None or activation_bits is not None:
        weight_bits = weight_bits or (8 if activation_bits == 8 else 16)
        activation_bits = activation_bits or ACTIVATION_BITS.get(weight_bits, 8)
        check_bits(weight_bits, activation_bits)
    if compare:
        from sparsespeech.cli.quantization_comparison import compare_checkpoints

        _refuse_with_compare(output, weight_bits, per_row)
        compare_checkpoints(
            checkpoints,
            manifest,
            split,
            measure_on or manifest,
            limit,
            utterances,
            seed,
            recalibrate=recalibrate,
            as_json=as_json,
        )
        return
    if len(checkpoints) > 1 or output is None or measure_on is not None or limit is not None:
        raise typer.BadParameter(
            "without --compare there is one CHECKPOINT, --output says what to write, and "
            "--measure-on and --limit have no meaning"
        )
    _check_output(output)  # before minutes of work, not after
    _convert(
        checkpoints[0],
        manifest,
        output,
        split,
        utterances,
        seed,
        (weight_bits, activation_bits, per_row),
        recalibrate=recalibrate,
        as_json=as_json,
    )


def _convert(
    path: Path,
    manifest: Path,
    output: Path,
    split: str | None,
    utterances: int | None,
    seed: int,
    bits: tuple[int | None, int | None, bool | None],
    *,
    recalibrate: bool,
    as_json: bool,
) -> None:
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.model_file.statistics import model_statistics
    from sparsespeech.model_file.writer import write_model
    from sparsespeech.quantization.post_training import quantize_checkpoint
    from sparsespeech.training.checkpoint import load_checkpoint

    source = load_checkpoint(path)
    precision = checkpoint_precision(source, *bits)
    with Progress(console=Console(stderr=True)) as progress:
        result = quantize_checkpoint(
            source,
            read_manifest(manifest, split=split),
            count=calibration_count(source, utterances),
            seed=seed,
            precision=precision,
            progress=progress,
            recalibrate=recalibrate,
        )
    model = result.conversion.model
    write_model(model, output)
    statistics = model_statistics(model)
    if as_json:
        facts = {
            "model": str(output),
            "checkpoint": str(source.path),
            "weight_bits": precision.weight_bits,
            "activation_bits": precision.activation_bits,
            "per_row": precision.per_row,
            "seed": seed,
        }
        typer.echo(json.dumps({**facts, **_figures(result, statistics)}))
        return
    console = table_console()
    console.print(_layer_table(result))
    console.print(_matrix_table(result))
    for line in _summary(result, statistics):
        console.print(line, markup=False, highlight=False)
    console.print(f"written: {output}", markup=False, highlight=False, soft_wrap=True)


def _refuse_with_compare(
    output: Path | None, weight_bits: int | None, per_row: bool | None
) -> None:
    if output is not None or weight_bits is not None or per_row is not None:
        raise typer.BadParameter(
            "--compare writes no model and tries all choices: leave out --output, bits and "
            "--per-row"
        )


def _check_output(output: Path) -> None:
    if not output.parent.is_dir():
        raise ModelFileError(f"{output}: there is no folder {output.parent}; create it first")
    if output.suffix != SUFFIX and not output.is_dir():
        raise ModelFileError(f"{output}: the name of a model file must end in {SUFFIX}")


def calibration_count(source: Checkpoint, utterances: int | None) -> int:
    """Calibration utterances: the option's, else the recipe's, else 100."""
    recipe = source.facts["recipe"].get("quantization") or {}
    return utterances or int(recipe.get("calibration_utterances", DEFAULT_UTTERANCES))


def checkpoint_precision(
    source: Checkpoint, weight_bits: int | None, activation_bits: int | None, per_row: bool | None
) -> Precision:
    """The options' bits; what they leave open is as the recipe retrained, or as it says."""
    from sparsespeech.quantization.precision import Precision

    recipe = source.facts["recipe"]
    trained = (recipe.get("fixed_point") or {}) if source.fixed_point else {}
    if per_row is None:
        section = trained or recipe.get("quantization") or {}
        per_row = bool(section.get("per_row", False))
    if weight_bits is None or activation_bits is None:
        weight_bits = int(trained.get("weight_bits", 8))
        activation_bits = int(trained.get("activation_bits", 8))
    return Precision(weight_bits, activation_bits, per_row)


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


def _layer_table(result: QuantizedCheckpoint) -> Table:
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


def _matrix_table(result: QuantizedCheckpoint) -> Table:
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


def _summary(result: QuantizedCheckpoint, statistics: ModelStatistics) -> list[str]:
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


def table_console() -> Console:
    """Standard output, wide enough for a table where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def figures_table(name: str, *headings: str) -> Table:
    """A table with a left column of names and right-aligned figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
