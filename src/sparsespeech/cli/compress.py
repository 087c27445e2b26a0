"""``sparsespeech compress MODEL``: few shared weights, and a Huffman-coded model file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sparsespeech.cli.ladder_table import ladder_table
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.progress_bar import progress_bar
from sparsespeech.cli.tables import figures_table, print_line, table_console
from sparsespeech.errors import CheckpointError, ModelFileError
from sparsespeech.model_file.lookup import SUFFIX, resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.quantization.codebook import LARGEST_CODEBOOK, SMALLEST_CODEBOOK
from sparsespeech.training.run_folder import is_checkpoint, run_folder

if TYPE_CHECKING:
    from sparsespeech.quantization.shared_matrix import SharedMatrix


class Initial(StrEnum):
    """Where the search for the shared values starts; see ``quantization/codebook.py``."""

    optimal = "optimal"
    linear = "linear"


ModelArgument = Annotated[
    str,
    typer.Argument(
        help="Model file or name of a bundled model; or a run folder or checkpoint of 'train'."
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option(
        help="What to write: for a model file NAME.safetensors, for a checkpoint a new run folder."
    ),
]
CodebookOption = Annotated[
    int | None,
    typer.Option(
        min=SMALLEST_CODEBOOK,
        max=LARGEST_CODEBOOK,
        metavar="K",
        help="Let the weights of a matrix share K values, as 16, 32 or 64; default: model files "
        "keep theirs, checkpoints need it.",
    ),
]
HuffmanOption = Annotated[
    bool | None,
    typer.Option(
        "--huffman/--no-huffman",
        help="Huffman-code the model file; default: yes. Decoded when it is loaded.",
        show_default=False,
    ),
]
InitialisationOption = Annotated[
    Initial | None,
    typer.Option(
        help="With --codebook: start of the clustering, the best cuts (optimal, the default) or "
        "evenly spaced values."
    ),
]
RetrainStepsOption = Annotated[
    int,
    typer.Option(
        min=0, help="Steps to retrain the shared values of a checkpoint on its recipe's speech."
    ),
]
LearningRateOption = Annotated[
    float | None,
    typer.Option(min=0.0, help="With --retrain-steps: its rate; default: the recipe's peak."),
]


def run(
    model: ModelArgument,
    output: OutputOption,
    codebook: CodebookOption = None,
    huffman: HuffmanOption = None,
    initialisation: InitialisationOption = None,
    retrain_steps: RetrainStepsOption = 0,
    learning_rate: LearningRateOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a smaller model: few shared weights in each matrix, Huffman codes, or both.

    An integer model file gives a model file; every command reads it as any other, to the same
    bits. A training checkpoint gives a run folder with shared float weights for 'quantize', whose
    result is then Huffman-coded by a second 'compress'.
    """
    source, start = Path(model), initialisation or Initial.optimal
    if is_checkpoint(model):
        if codebook is None or huffman is not None:
            raise CheckpointError(
                f"{source}: a checkpoint needs --codebook and is not Huffman-coded; 'sparsespeech "
                "quantize' the result, then 'sparsespeech compress' the model file"
            )
        figures, tables = _compress_checkpoint(
            source, output, codebook, start, retrain_steps, learning_rate
        )
    else:
        if initialisation is not None and codebook is None:
            raise typer.BadParameter("goes with --codebook", param_hint="--initialisation")
        if retrain_steps or learning_rate is not None:
            raise ModelFileError(
                f"{source}: only checkpoints can be retrained; a model file holds no float weights"
            )
        figures, tables = _compress_model(
            resolve_model(model), output, codebook, start, huffman is not False
        )
    if as_json:
        typer.echo(json.dumps(figures))
        return
    _show(figures, tables)


def _show(figures: dict[str, Any], tables: list[Table]) -> None:
    console = table_console()
    for table in tables:
        console.print(table)
    if figures.get("loss_first") is not None:
        console.print(
            f"loss {figures['loss_first']:.4f} over the first steps, {figures['loss_last']:.4f} "
            "over the last (nats a character)"
        )
    print_line(console, f"written: {figures['output']}")


def _compress_model(
    path: Path, output: Path, codebook: int | None, initialisation: Initial, huffman: bool
) -> tuple[dict[str, Any], list[Table]]:
    from sparsespeech.model_file.ladder import byte_ladder
    from sparsespeech.model_file.reader import read_model
    from sparsespeech.model_file.writer import write_model
    from sparsespeech.quantization.codebook_model import share_weights

    if output.suffix != SUFFIX or not output.parent.is_dir():
        raise ModelFileError(f"{output}: give a file NAME{SUFFIX} in a folder that exists")
    model: IntegerModel = read_model(path)
    before, tables = path.stat().st_size, []
    figures: dict[str, Any] = {"model": str(path), "codebook": codebook}
    if codebook is not None:
        shared = share_weights(model, codebook, initialisation.value)
        model = shared.model
        figures["initialisation"] = initialisation.value
        figures["matrices"] = [asdict(matrix) for matrix in shared.matrices]
        tables.append(_matrix_table(shared.matrices))
    model = replace(model, encoding="huffman" if huffman else "gap8")
    write_model(model, output)
    ladder = byte_ladder(model)
    figures |= {
        "output": str(output),
        "bytes_before": before,
        "bytes_stored": output.stat().st_size,
        "ladder": ladder.to_json(),
    }
    return figures, [*tables, ladder_table(ladder)]


def _compress_checkpoint(
    path: Path,
    output: Path,
    codebook: int,
    initialisation: Initial,
    retrain_steps: int,
    learning_rate: float | None,
) -> tuple[dict[str, Any], list[Table]]:
    from sparsespeech.pruning.retraining_recipe import names_speech
    from sparsespeech.quantization.codebook_checkpoint import (
        default_learning_rate,
        share_checkpoint,
    )
    from sparsespeech.quantization.codebook_retraining import CodebookRetraining
    from sparsespeech.training.checkpoint import load_checkpoint

    if output.suffix == SUFFIX:
        raise CheckpointError(f"{output}: the result of a checkpoint is a run folder, not a file")
    checkpoint = load_checkpoint(path)
    retraining = None
    if learning_rate is not None and not retrain_steps:
        raise typer.BadParameter("goes with --retrain-steps", param_hint="--learning-rate")
    if retrain_steps:
        if not names_speech(checkpoint.facts["recipe"]):
            raise CheckpointError(
                f"{path}: its recipe names no speech to retrain on; import the network with "
                "--train and --development, or leave out --retrain-steps"
            )
        rate = default_learning_rate(checkpoint) if learning_rate is None else learning_rate
        retraining = CodebookRetraining(retrain_steps, rate)
    with progress_bar() as progress:
        shared = share_checkpoint(
            checkpoint,
            output,
            codebook,
            initialisation=initialisation.value,
            retraining=retraining,
            features=(run_folder(checkpoint.path) or output) / "features",
            progress=progress,
        )
    first, last = shared.losses or (None, None)
    figures = {
        "checkpoint": str(checkpoint.path),
        "output": str(shared.path),
        "codebook": codebook,
        "initialisation": initialisation.value,
        "retraining": asdict(retraining) if retraining else None,
        "loss_first": first,
        "loss_last": last,
        "incidents": list(shared.incidents),
        "matrices": [asdict(matrix) for matrix in shared.matrices],
    }
    return figures, [_matrix_table(shared.matrices)]


def _matrix_table(matrices: Sequence[SharedMatrix]) -> Table:
    table = figures_table("matrix", "nonzeros", "values", "signal to change")
    for matrix in matrices:
        ratio = "-" if matrix.sqnr_db is None else f"{matrix.sqnr_db:.1f} dB"
        table.add_row(matrix.name, f"{matrix.nonzeros:,}", str(matrix.values), ratio)
    return table
