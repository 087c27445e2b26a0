"""``sparsespeech import STATE_DICT``: a torch network as a checkpoint to prune and quantize."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sparsespeech.cli.failure import print_warning
from sparsespeech.graph import CELL_LIMIT, Linear, Lstm

if TYPE_CHECKING:
    from sparsespeech.corpora.manifest import Utterance
    from sparsespeech.exchange.cell_range import CellRange
    from sparsespeech.exchange.imported_checkpoint import Speech
    from sparsespeech.exchange.torch_import import ImportedNetwork

_FILE_WIDTH = 120  # characters, where the output is no terminal


def run(
    state_dict: Annotated[
        Path, typer.Argument(help="File of torch.save(model.state_dict(), ...), or .safetensors.")
    ],
    output: Annotated[Path, typer.Option(help="Run folder to write; it holds one checkpoint.")],
    describe: Annotated[
        Path | None,
        typer.Option(help="YAML file with what a state dict cannot say; options replace its keys."),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|none", help="Where the ReLU after each hidden nn.Linear is clipped."
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Symbols in class order, without the blank.")
    ] = None,
    blank: Annotated[
        str | None, typer.Option(metavar="first|last|CLASS", help="Class of the CTC blank.")
    ] = None,
    normalisation: Annotated[
        str | None,
        typer.Option(metavar="none", help="Features are not normalised; else use --describe."),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME,...", help="Modules from input to output; default: as in the file."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="REGEX", help="Leave out tensors of these names.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Entry of the file that holds the state dict.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Manifest that 'prune' trains on later; it is only noted.")
    ] = None,
    development: Annotated[
        Path | None, typer.Option(help="Manifest that shows how that training goes, with --train.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Manifest of speech to run: how far does the cell state reach?"),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Utterances of the manifest to run, with --check.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as one JSON object.")] = False,
) -> None:
    """Bring a torch network of nn.Linear and nn.LSTM layers.

    The checkpoint is what 'train' (as model.initial), 'prune', 'sensitivity', 'quantize' and
    'evaluate' read. The cell state of every LSTM saturates at +-16 here and does not in torch:
    --check tells whether that changes the network.
    """
    from sparsespeech.corpora.manifest import read_manifest
    from sparsespeech.exchange.description import read_description
    from sparsespeech.exchange.imported_checkpoint import Speech, save_imported_network
    from sparsespeech.exchange.state_dict import read_state_dict
    from sparsespeech.exchange.torch_import import import_state_dict

    changes = {
        "clip": clip,
        "labels": labels,
        "blank": blank,
        "normalisation": normalisation,
        "layers": layers.split(",") if layers else None,
        "ignore": ignore,
    }
    description = read_description(describe, changes)
    if (train is None) != (development is None):
        raise typer.BadParameter("--train and --development go together", param_hint="--train")
    speech = Speech(train, development) if train is not None and development is not None else None
    for manifest in (train, development):
        if manifest is not None:
            read_manifest(manifest)  # a wrong path would be found hours later
    utterances = read_manifest(check)[:limit] if check is not None else None
    network = import_state_dict(read_state_dict(state_dict, key), description)
    folder = save_imported_network(network, output, speech)
    seen = _check(folder, utterances) if utterances is not None else None
    _warn(network, seen)
    if as_json:
        typer.echo(json.dumps(_figures(network, folder, seen)))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    console.print(_table(network))
    for line in [*_summary(network, seen), *_next_step(network, output, speech)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(f"checkpoint: {folder}", markup=False, highlight=False, soft_wrap=True)


def _check(folder: Path, utterances: list[Utterance]) -> CellRange:
    from sparsespeech.exchange.cell_range import measure_cell_range
    from sparsespeech.training.checkpoint import load_checkpoint

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        return measure_cell_range(load_checkpoint(folder), utterances, progress)


def _warn(network: ImportedNetwork, seen: CellRange | None) -> None:
    """One line on stderr if saturation may change the network, or was seen to."""
    if not any(isinstance(layer, Lstm) for layer in network.graph.layers):
        return
    if seen is None:
        print_warning(
            f"cell states saturate at +-{CELL_LIMIT:g} here and do not in torch, so the network "
            f"may differ; see by how much with --check MANIFEST"
        )
    elif seen.saturates:
        advice = ": fine-tune the network before you quantize it" if seen.changed else ""
        print_warning(
            f"{seen.beyond / seen.cells:.2%} of the cell states pass +-{CELL_LIMIT:g}, where they "
            f"saturate here; the likeliest label changes in {seen.changed} of {seen.frames} "
            f"frames{advice}"
        )


def _figures(network: ImportedNetwork, folder: Path, seen: CellRange | None) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "file": str(network.path),
        "checkpoint": str(folder),
        "parameters": _parameters(network, ""),
        "labels": list(network.labels),
        "layers": [
            {
                **layer,
                "source": network.sources[layer["name"]],
                "parameters": _parameters(network, layer["name"]),
            }
            for layer in network.graph.to_json()
        ],
    }
    if seen is not None:
        figures["check"] = {
            "frames": seen.frames,
            "largest_cell": seen.largest,
            "cells": seen.cells,
            "cells_beyond_limit": seen.beyond,
            "argmax_changed": seen.changed,
        }
    return figures


def _parameters(network: ImportedNetwork, layer: str) -> int:
    prefix = f"{layer}." if layer else ""
    return sum(t.numel() for name, t in network.weights.items() if name.startswith(prefix))


def _table(network: ImportedNetwork) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("from", overflow="fold")
    table.add_column("kind")
    table.add_column("matrices", justify="right")
    table.add_column("parameters", justify="right", no_wrap=True)
    for layer in network.graph.layers:
        kind = type(layer).__name__.lower()
        if isinstance(layer, Linear):
            kind += f", clip {layer.clip:g}"
        elif isinstance(layer, Lstm):
            kind += ", both directions" if layer.bidirectional else ", forward"
            kind += f", {layer.cells} cells"
        table.add_row(
            layer.name,
            network.sources[layer.name] or "(top)",
            kind,
            ", ".join(_shapes(network, layer.name)),
            f"{_parameters(network, layer.name):,}",
        )
    return table


def _shapes(network: ImportedNetwork, layer: str) -> list[str]:
    """Rows and columns of the layer's matrices, of one direction."""
    return [
        "×".join(str(size) for size in tensor.shape)
        for name, tensor in network.weights.items()
        if name.startswith(f"{layer}.") and ".directions.1." not in name and tensor.ndim == 2
    ]


def _summary(network: ImportedNetwork, seen: CellRange | None) -> list[str]:
    features = network.features
    lines = [
        f"{_parameters(network, ''):,} parameters, {len(network.labels)} symbols and the blank, "
        f"windows of {2 * features.context + 1} frames of {features.coefficients} coefficients"
    ]
    if seen is not None:
        largest = ", ".join(f"{name} {value:.2f}" for name, value in seen.largest.items())
        lines.append(
            f"largest cell state over {seen.frames} frames: {largest or 'no LSTM'}; saturation "
            f"changes the likeliest label of {seen.changed}"
        )
    return lines


def _next_step(network: ImportedNetwork, output: Path, speech: Speech | None) -> list[str]:
    """How to prune: the last layer stays dense, as it holds few weights and all decisions."""
    last = network.graph.layers[-1].name
    if speech is not None:
        return [
            f"next: sparsespeech prune {output} --sparsity 0.9 --exceptions '^{last}\\.=0' "
            f"--output {output}-sparse"
        ]
    from sparsespeech.training.initial_graph import changed_features

    features = changed_features(network.features)
    shown = f", features: {json.dumps(features)}" if features else ""
    return [
        "to prune it while it trains on, import it with --train and --development, or write into "
        "a recipe:",
        f"  model: {{architecture: initial, initial: {output}{shown}}}",
        f"  data: {{symbols: {json.dumps(''.join(network.labels))}, ...}}",
        rf"  pruning: {{final_sparsity: 0.9, exceptions: {{^layer1\.: 0.85, ^{last}\.: 0}}}}",
    ]
