"""Rules F8 to F10: names, widths and caps of a graph, its alphabet and its features.

Axes: T frames, K channels and bins of a convolution's map, C inputs of a layer.
"""

from __future__ import annotations

import re
from typing import Any

from sparsespeech.errors import ModelFileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Conv2d, Graph, Layer, Linear, Lstm, Output
from sparsespeech.model_file import limits
from sparsespeech.model_file.canonical_json import shown

_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{limits.NAME_LENGTH - 1}}}")
_RESERVED = {"input", "tables"}  # first words of other tensors


def prove_graph(graph: Graph, labels: tuple[str, ...], features: dict[str, Any]) -> None:
    """Raise ModelFileError unless the layers fit each other, the features and the alphabet."""
    _prove_labels(labels)
    try:
        width = MfccConfig.from_json(features).inputs
    except ModelFileError as error:
        raise ModelFileError(f"{error} (rule F10)") from None
    if not 1 <= len(graph.layers) <= limits.LAYERS:
        raise ModelFileError(
            f"graph: must hold 1 to {limits.LAYERS} layers, got {len(graph.layers)} (rule F8)"
        )
    names = [layer.name for layer in graph.layers]
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED or names.count(name) > 1:
            raise ModelFileError(
                f"graph: layer name {shown(name)} must be unique, match "
                f"{_NAME.pattern} and not be one of {sorted(_RESERVED)} "
                "(rule F8)"
            )
    for layer in graph.layers:
        if isinstance(layer, Output) != (layer is graph.layers[-1]):
            raise ModelFileError(
                f"graph layer {layer.name!r}: the last layer, and no other, must "
                "be of kind output (rule F8)"
            )
        width = _prove_layer(layer, width)
    if width != len(labels) + 1:
        raise ModelFileError(
            f"graph layer {names[-1]!r}: has {width} outputs, expected "
            f"{len(labels)} symbols and the blank (rule F8)"
        )


def output_bins(layer: Conv2d, bins: int) -> int:
    """R11: frequency bins after a convolution over ``bins`` bins; not positive if none fits."""
    return (bins + 2 * layer.padding[1] - layer.kernel[1]) // layer.stride[1] + 1


def _prove_labels(labels: tuple[str, ...]) -> None:
    if not 1 <= len(labels) <= limits.LABELS:
        raise ModelFileError(
            f"alphabet: must hold 1 to {limits.LABELS} symbols, got {len(labels)} (rule F9)"
        )
    if len(set(labels)) != len(labels):
        raise ModelFileError("alphabet: a symbol occurs twice (rule F9)")
    for label in labels:
        if not (1 <= len(label) <= limits.LABEL_LENGTH and label.isprintable()):
            raise ModelFileError(
                f"alphabet: symbol {shown(label)} must be 1 to "
                f"{limits.LABEL_LENGTH} printable characters (rule F9)"
            )


def _prove_layer(layer: Layer, width: int) -> int:
    """Check a layer that is fed ``width`` values a frame; return the width of its output."""
    if isinstance(layer, Conv2d):
        return _prove_convolution(layer, width)
    _within(layer.name, "inputs", layer.inputs, limits.COLUMNS)
    if layer.inputs != width:
        raise ModelFileError(
            f"graph layer {layer.name!r}: takes {layer.inputs} inputs, the layer "
            f"before gives {width} (rule F8)"
        )
    if isinstance(layer, Lstm):
        _prove_lstm(layer)
    else:
        _within(layer.name, "outputs", layer.outputs, limits.ROWS)
    if isinstance(layer, Linear):
        _prove_clip(layer.name, layer.clip)
    return layer.outputs


def _prove_lstm(layer: Lstm) -> None:
    _within(layer.name, "cells", layer.cells, limits.COLUMNS)
    if layer.projection is not None:
        _within(layer.name, "projection", layer.projection, limits.COLUMNS)
    if layer.merge not in ("concatenate", "sum"):
        raise ModelFileError(
            f"graph layer {layer.name!r}: merge {shown(layer.merge)} must be "
            "'concatenate' or 'sum' (rule F8)"
        )


def _prove_convolution(layer: Conv2d, width: int) -> int:
    _within(layer.name, "input_channels", layer.input_channels, limits.COLUMNS)
    _within(layer.name, "output_channels", layer.output_channels, limits.ROWS)
    for axis in (0, 1):
        _within(layer.name, "kernel", layer.kernel[axis], limits.KERNEL)
        _within(layer.name, "stride", layer.stride[axis], limits.KERNEL)
        _within(layer.name, "padding", layer.padding[axis], limits.KERNEL, lowest=0)
    _prove_clip(layer.name, layer.clip)
    patch = layer.input_channels * layer.kernel[0] * layer.kernel[1]
    _within(layer.name, "patch", patch, limits.COLUMNS)
    if width % layer.input_channels:
        raise ModelFileError(
            f"graph layer {layer.name!r}: {layer.input_channels} input channels "
            f"do not divide the {width} values before it (rule F8)"
        )
    bins = output_bins(layer, width // layer.input_channels)
    _within(layer.name, "output bins", bins, limits.COLUMNS)
    return layer.output_channels * bins


def _within(name: str, what: str, value: int, largest: int, *, lowest: int = 1) -> None:
    if not lowest <= value <= largest:
        raise ModelFileError(
            f"graph layer {name!r}: {what} is {value}, must be {lowest} to {largest} (rule F8)"
        )


def _prove_clip(name: str, clip: float) -> None:
    if not 0.0 < clip <= limits.CLIP:
        raise ModelFileError(
            f"graph layer {name!r}: clip is {clip}, must be above 0 and at most "
            f"{limits.CLIP:g} (rule F8)"
        )
