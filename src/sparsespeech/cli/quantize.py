"""``sparsespeech quantize CHECKPOINT``: calibrate a checkpoint and write the integer model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sparsespeech.cli.option_types import AsJson, SplitOption
from sparsespeech.cli.progress_bar import progress_bar
from sparsespeech.cli.quantization_report import (
    activation_table,
    quantization_figures,
    summary_lines,
    weight_table,
)
from sparsespeech.cli.tables import print_line, table_console
from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.lookup import SUFFIX

CheckpointsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="CHECKPOINT...",
        help="Run folder of 'sparsespeech train', or one of its checkpoints; several only "
        "with --compare.",
    ),
]
ManifestOption = Annotated[
    Path, typer.Option(help="Manifest to calibrate on: training speech, never a test set.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        help="Model file to write, NAME.safetensors, or an existing folder; needed unless "
        "--compare."
    ),
]
UtterancesOption = Annotated[
    int | None,
    typer.Option(min=1, help="Calibration utterances; default: the recipe's, else 100."),
]
SeedOption = Annotated[int, typer.Option(help="Chooses the calibration utterances.")]
WeightBitsOption = Annotated[
    int | None,
    typer.Option(
        metavar="8|12|16",
        help="Bits of the weights; default: those of the checkpoint's fixed-point retraining, "
        "else 8.",
    ),
]
ActivationBitsOption = Annotated[
    int | None,
    typer.Option(
        metavar="8|16",
        help="Bits of the activations; default: 8 with 8-bit weights, else 16 (wide mode).",
    ),
]
PerRowOption = Annotated[
    bool | None,
    typer.Option(
        "--per-row/--per-matrix",
        help="A weight scale for each row, or one for each matrix; default: the recipe's, else "
        "one for each matrix.",
        show_default=False,
    ),
]
RecalibrateOption = Annotated[
    bool,
    typer.Option(
        "--recalibrate", help="Calibrate even where fixed-point retraining has left its ranges."
    ),
]
CompareOption = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="Write no file: measure float, int8, 12 and 16 bit and print a table instead.",
    ),
]
MeasureOnOption = Annotated[
    Path | None,
    typer.Option(
        help="With --compare: manifest of the error rates; default: the one of --manifest."
    ),
]
LimitOption = Annotated[
    int | None, typer.Option(min=1, help="With --compare: measure on the first N utterances.")
]


def run(
    checkpoints: CheckpointsArgument,
    manifest: ManifestOption,
    output: OutputOption = None,
    split: SplitOption = None,
    utterances: UtterancesOption = None,
    seed: SeedOption = 0,
    weight_bits: WeightBitsOption = None,
    activation_bits: ActivationBitsOption = None,
    per_row: PerRowOption = None,
    recalibrate: RecalibrateOption = False,
    compare: CompareOption = False,
    measure_on: MeasureOnOption = None,
    limit: LimitOption = None,
    as_json: AsJson = False,
) -> None:
    """Quantize weights and activations and write the integer model file.

    8 bits each by default; 12- or 16-bit weights with 16-bit activations are the wide mode, which
    --backend reference runs. Activation ranges are moving averages over the calibration
    utterances, or those of fixed-point retraining. The noise ratios compare the integer model
    with the float model on some of the utterances.
    """
    from sparsespeech.quantization.precision import complete_bits

    if weight_bits is not None or activation_bits is not None:
        weight_bits, activation_bits = complete_bits(weight_bits, activation_bits)
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
    from sparsespeech.quantization.recipe_defaults import calibration_count, checkpoint_precision
    from sparsespeech.training.checkpoint import load_checkpoint

    source = load_checkpoint(path)
    precision = checkpoint_precision(source, *bits)
    with progress_bar() as progress:
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
        typer.echo(json.dumps({**facts, **quantization_figures(result, statistics)}))
        return
    console = table_console()
    console.print(activation_table(result))
    console.print(weight_table(result))
    for line in summary_lines(result, statistics):
        console.print(line, markup=False)
    print_line(console, f"written: {output}")


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
