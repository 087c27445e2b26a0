"""``sparsespeech inspect MODEL``: layers, sparsity, sizes and row-bank occupancy of a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from sparsespeech.cli.inspection_report import (
    DenseOption,
    HtmlOption,
    PrunedOption,
    RunOption,
    SweepOption,
    check_options,
    write_report,
)
from sparsespeech.cli.ladder_table import ladder_table, matrix_ladder_table
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import figures_table, table_console
from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.ladder import byte_ladder
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import (
    BANK_COLUMNS,
    BANK_ROW_LIMIT,
    LayerStatistics,
    ModelStatistics,
    model_statistics,
)
from sparsespeech.report.model_report import ReportSources
from sparsespeech.training.run_folder import is_checkpoint


def run(
    model: Annotated[str, typer.Argument(help="Model file, model folder or bundled model name.")],
    as_json: AsJson = False,
    html: HtmlOption = None,
    run_folder: RunOption = None,
    dense: DenseOption = None,
    pruned: PrunedOption = None,
    sweep: SweepOption = None,
) -> None:
    """Check that a model file is valid and show what it holds.

    Parameters count the dense network with two bias vectors for each LSTM direction. Sparsity is
    over all weight matrices, biases excluded. A bank is 1024 columns of a matrix row. Forms that
    the file is not stored in are sized as they would be.
    """
    sources = ReportSources(run_folder, dense, pruned, sweep)
    check_options(html, sources, as_json=as_json)
    if html is not None:
        write_report(model, html, sources)
        typer.echo(f"report: {html}")
        return
    if is_checkpoint(model):
        raise ModelFileError(
            f"{model}: a checkpoint of training, not a model file: give --html PATH for a report "
            "of it, or 'sparsespeech quantize' it and inspect the result"
        )
    path = resolve_model(model)
    contents = read_model(path)
    statistics, ladder = model_statistics(contents), byte_ladder(contents)
    if as_json:
        typer.echo(json.dumps({**_figures(statistics), "ladder": ladder.to_json()}))
        return
    console = table_console()
    console.print(
        f"{path.name}: {contents.activation_bits}-bit activations, "
        f"{len(contents.labels)} symbols and the blank",
        markup=False,
    )
    console.print(_layer_table(statistics))
    console.print(f"Nonzeros of a row within a bank of {BANK_COLUMNS} columns:")
    console.print(_matrix_table(statistics))
    console.print("The same model in each stored form (* this file):")
    console.print(ladder_table(ladder))
    console.print("Bits a nonzero of each matrix alone:")
    console.print(matrix_ladder_table(ladder))


def _figures(statistics: ModelStatistics) -> dict[str, Any]:
    """The JSON object: totals, then one entry a layer with its matrices."""
    return {
        **_totals(statistics),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                **_totals(layer),
                "matrices": [
                    {**asdict(matrix), "sparsity": matrix.sparsity} for matrix in layer.matrices
                ],
            }
            for layer in statistics.layers
        ],
    }


def _totals(counted: ModelStatistics | LayerStatistics) -> dict[str, Any]:
    names = ("parameters", "nonzeros", "sparsity", "bytes_dense_float32", "bytes_stored")
    return {name: getattr(counted, name) for name in names}


def _layer_table(statistics: ModelStatistics) -> Table:
    headings = ("parameters", "nonzeros", "sparsity", "dense float32", "stored")
    table = figures_table("layer", "kind", *headings)
    table.columns[1].justify = "left"
    for layer in statistics.layers:
        table.add_row(layer.name, layer.kind, *_cells(layer))
    table.add_section()
    table.add_row("total", "", *_cells(statistics))
    return table


def _cells(counted: ModelStatistics | LayerStatistics) -> tuple[str, ...]:
    return (
        f"{counted.parameters:,}",
        f"{counted.nonzeros:,}",
        f"{counted.sparsity:.2%}",
        f"{counted.bytes_dense_float32 / 1e6:.3f} MB",
        f"{counted.bytes_stored / 1e6:.3f} MB",
    )


def _matrix_table(statistics: ModelStatistics) -> Table:
    table = figures_table(
        "matrix", "shape", "nonzeros", "sparsity", "scale", "mean", "max", f">{BANK_ROW_LIMIT}"
    )
    for matrix in (matrix for layer in statistics.layers for matrix in layer.matrices):
        table.add_row(
            matrix.name,
            f"{matrix.shape[0]}×{matrix.shape[1]}",
            f"{matrix.nonzeros:,}",
            f"{matrix.sparsity:.2%}",
            _scales(matrix.weight_scales),
            f"{matrix.banks.mean:.1f}",
            f"{matrix.banks.largest}",
            f"{matrix.banks.above_limit}",
        )
    return table


def _scales(ends: tuple[float, float] | None) -> str:
    if ends is None:
        return "-"
    low, high = (f"{end:.2g}" for end in ends)
    return low if low == high else f"{low}..{high}"
