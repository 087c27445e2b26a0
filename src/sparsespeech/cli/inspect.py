"""``sparsespeech inspect MODEL``: layers, sparsity, sizes and row-bank occupancy of a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer


def run(
    model: Annotated[str, typer.Argument(help="Model file, model folder or bundled model name.")],
    as_json: Annotated[bool, typer.Option(
        "--json", help="Print the figures as one JSON object.")] = False,
) -> None:
    """Prove a model file and show what it holds.

    Parameters count the dense network with two bias vectors for each LSTM direction. Sparsity is
    over all weight matrices, biases excluded. A bank is 1024 columns of a matrix row.
    """
    from sparsespeech.model_file.lookup import resolve_model
    from sparsespeech.model_file.reader import read_model
    from sparsespeech.model_file.statistics import model_statistics

    path = resolve_model(model)
    contents = read_model(path)
    statistics = model_statistics(contents)
    if as_json:
        typer.echo(json.dumps(_figures(statistics)))
        return
    _print_tables(f"{path.name}: {contents.activation_bits}-bit activations, "
                  f"{len(contents.labels)} symbols and blank", statistics)


def _figures(statistics: Any) -> dict[str, Any]:
    """The JSON object: totals, then one entry a layer with its matrices."""
    return {
        **_totals(statistics),
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                **_totals(layer),
                "matrices": [{**asdict(matrix), "sparsity": matrix.sparsity}
                             for matrix in layer.matrices],
            }
            for layer in statistics.layers
        ],
    }


def _totals(counted: Any) -> dict[str, Any]:
    names = ("parameters", "nonzeros", "sparsity", "bytes_dense_float32", "bytes_stored")
    return {name: getattr(counted, name) for name in names}


def _print_tables(title: str, statistics: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    layers = Table("layer", "kind", title=title, title_justify="left")
    for heading in ("parameters", "nonzeros", "sparsity", "dense float32", "stored"):
        layers.add_column(heading, justify="right")
    for layer in statistics.layers:
        layers.add_row(layer.name, layer.kind, *_cells(layer))
    layers.add_section()
    layers.add_row("total", "", *_cells(statistics))

    matrices = Table("matrix", title="weight matrices; nonzeros of a row in a bank of 1024 columns",
                     title_justify="left")
    for heading in ("shape", "nonzeros", "sparsity", "scale", "mean", "largest", "above 64"):
        matrices.add_column(heading, justify="right")
    for matrix in (matrix for layer in statistics.layers for matrix in layer.matrices):
        scale = "-" if matrix.weight_scale is None else f"{matrix.weight_scale:.3g}"
        matrices.add_row(
            matrix.name, f"{matrix.shape[0]} × {matrix.shape[1]}", f"{matrix.nonzeros:,}",
            f"{matrix.sparsity:.2%}", scale, f"{matrix.banks.mean:.1f}",
            f"{matrix.banks.largest}", f"{matrix.banks.above_limit}")

    console = Console()
    console.print(layers)
    console.print(matrices)


def _cells(counted: Any) -> tuple[str, ...]:
    return (f"{counted.parameters:,}", f"{counted.nonzeros:,}", f"{counted.sparsity:.2%}",
            _megabytes(counted.bytes_dense_float32), _megabytes(counted.bytes_stored))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3f} MB"
