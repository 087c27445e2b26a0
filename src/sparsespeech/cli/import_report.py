"""What ``sparsespeech import`` tells of a network: figures, table, warnings and what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from sparsespeech.cli.failure import print_warning
from sparsespeech.graph import CELL_LIMIT, Linear, Lstm

if TYPE_CHECKING:
    from sparsespeech.exchange.cell_range import CellRange
    from sparsespeech.exchange.imported_checkpoint import Speech
    from sparsespeech.exchange.torch_import import ImportedNetwork


def warn_of_saturation(network: ImportedNetwork, seen: CellRange | None) -> None:
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


def import_figures(
    network: ImportedNetwork, folder: Path, seen: CellRange | None
) -> dict[str, Any]:
    """The JSON object: the network layer by layer, and what ``--check`` has ``seen``."""
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


def import_table(network: ImportedNetwork) -> Table:
    """Layers, the modules they come from, and their sizes."""
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


def summary_lines(network: ImportedNetwork, seen: CellRange | None) -> list[str]:
    """Sizes of the network, and how far its cell states reached."""
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


def next_steps(network: ImportedNetwork, output: Path, speech: Speech | None) -> list[str]:
    """How to prune: the last layer stays dense, as it holds few weights and all decisions.

    A network of one layer has nothing else to prune. One that is sparse already loses half of what
    it has left, and keeps its zeros.
    """
    from sparsespeech.exchange.imported_checkpoint import sparsity_of

    names = [layer.name for layer in network.graph.layers]
    sparsity = sparsity_of(network.weights)
    goal = 0.9 if sparsity < 0.8 else round(1.0 - (1.0 - sparsity) / 2, 3)
    zeros = "keep_zeros: true, start: 0.0, " if sparsity > 0.0 else ""
    if len(names) == 1:
        option, exceptions = rf"'^{names[0]}\.={goal}'", "{}"
    else:
        option = rf"'^{names[-1]}\.=0'"
        exceptions = rf"{{^{names[0]}\.: 0.85, ^{names[-1]}\.: 0}}"
    if speech is not None:
        return [
            f"next: sparsespeech prune {output} --sparsity {goal} --exceptions {option} "
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
        f"  pruning: {{final_sparsity: {goal}, {zeros}exceptions: {exceptions}}}",
    ]
