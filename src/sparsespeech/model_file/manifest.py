"""The manifest: everything in a model file that is not a tensor, as one JSON object.

The reader proves rules F7 to F12 here; zero points and clamps are proved with the tensors in
``validate.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparsespeech.errors import ModelFileError
from sparsespeech.graph import Conv2d, Graph, Layer, Linear, Lstm
from sparsespeech.model_file import limits
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.model_file.graph_rules import prove_graph
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    Encoding,
    IntegerLayer,
    IntegerModel,
    LinearLayer,
    LstmLayer,
)

FORMAT = "sparsespeech integer model"
FORMAT_VERSIONS: dict[Encoding, int] = {"gap8": 1, "huffman": 2}  # by encoding of the weights


@dataclass(frozen=True)
class Manifest:
    """The parsed manifest; ``layer_integers`` maps a layer's name to its zero points and clamp."""

    graph: Graph
    labels: tuple[str, ...]
    features: dict[str, Any]
    activation_bits: int
    input_zero_point: int
    layer_integers: dict[str, dict[str, int]]
    training: dict[str, Any] | None
    quantization: dict[str, Any] | None
    encoding: Encoding


def build_manifest(model: IntegerModel) -> dict[str, Any]:
    """The JSON object for ``model``, without the digests of the tensors."""
    integers = {layer.name: _integers_of(layer) for layer in model.layers}
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSIONS[model.encoding],
        "graph": model.graph.to_json(),
        "alphabet": list(model.labels),
        "features": model.features,
        "quantization": {
            "activation_bits": model.activation_bits,
            "input_zero_point": model.input.zero_point,
            "layers": {name: values for name, values in integers.items() if values},
            "facts": model.quantization,
        },
        "training": model.training,
    }


def parse_manifest(values: dict[str, Any]) -> Manifest:
    """Inverse of :func:`build_manifest`; raises ModelFileError naming the entry and the rule."""
    if values.get("format") != FORMAT:
        raise ModelFileError(
            f"manifest: 'format' must be {FORMAT!r}, got {shown(values.get('format'))} (rule F7)"
        )
    encoding = _encoding_of(values.get("format_version"))
    _check_keys(
        "manifest",
        values,
        {
            "format": _is_text,
            "format_version": _is_integer,
            "graph": _is_list,
            "alphabet": _is_list,
            "features": _is_object,
            "quantization": _is_object,
            "training": _is_anything,
        },
        "F7",
    )
    quantization = values["quantization"]
    _check_keys(
        "quantization",
        quantization,
        {
            "activation_bits": _is_integer,
            "input_zero_point": _is_integer,
            "layers": _is_object,
            "facts": _is_anything,
        },
        "F11",
    )
    for where, facts in (
        ("training", values["training"]),
        ("quantization facts", quantization["facts"]),
    ):
        if facts is not None and not isinstance(facts, dict):
            raise ModelFileError(
                f"{where}: must be an object or null, got {shown(facts)} (rule F12)"
            )
    if not all(isinstance(label, str) for label in values["alphabet"]):
        raise ModelFileError("alphabet: every symbol must be a text (rule F9)")
    graph, labels = parse_graph(values["graph"]), tuple(values["alphabet"])
    prove_graph(graph, labels, values["features"])
    _check_layer_integers(graph, quantization["layers"])
    return Manifest(
        graph=graph,
        labels=labels,
        features=values["features"],
        activation_bits=quantization["activation_bits"],
        input_zero_point=quantization["input_zero_point"],
        layer_integers=quantization["layers"],
        training=values["training"],
        quantization=quantization["facts"],
        encoding=encoding,
    )


def _encoding_of(version: Any) -> Encoding:
    """Rule F7, proved before anything else of a manifest is read."""
    encodings = {number: encoding for encoding, number in FORMAT_VERSIONS.items()}
    if not isinstance(version, int) or version not in encodings:
        raise ModelFileError(
            f"manifest: format_version {shown(version)} is unknown, this release reads "
            f"{' and '.join(map(str, encodings))}; upgrade sparsespeech (rule F7)"
        )
    return encodings[version]


def _integers_of(layer: IntegerLayer) -> dict[str, int]:
    if isinstance(layer, LinearLayer):
        return {"output_zero_point": layer.output_zero_point, "low": layer.low, "high": layer.high}
    if isinstance(layer, ConvolutionLayer):
        return {
            "input_zero_point": layer.input_zero_point,
            "output_zero_point": layer.output_zero_point,
            "low": layer.low,
            "high": layer.high,
        }
    if isinstance(layer, LstmLayer) and layer.forward.projection is not None:
        return {"output_zero_point": layer.forward.projection.output_zero_point}
    return {}


def _integer_names(layer: Layer) -> set[str]:
    """Keys that :func:`_integers_of` gives for a layer of the graph."""
    if isinstance(layer, Linear):
        return {"output_zero_point", "low", "high"}
    if isinstance(layer, Conv2d):
        return {"input_zero_point", "output_zero_point", "low", "high"}
    if isinstance(layer, Lstm) and layer.projection is not None:
        return {"output_zero_point"}
    return set()


def _check_layer_integers(graph: Graph, layers: dict[str, Any]) -> None:
    expected = {layer.name: _integer_names(layer) for layer in graph.layers}
    expected = {name: keys for name, keys in expected.items() if keys}
    if set(layers) != set(expected):
        raise ModelFileError(
            f"quantization: 'layers' must name {sorted(expected)}, got "
            f"{shown(sorted(layers))} (rule F11)"
        )
    for name, keys in expected.items():
        if not isinstance(layers[name], dict):
            raise ModelFileError(f"quantization of {name!r}: must be an object (rule F11)")
        _check_keys(
            f"quantization of {name!r}", layers[name], dict.fromkeys(keys, _is_integer), "F11"
        )


def parse_graph(items: list[Any]) -> Graph:
    """Rule F8, part one: kinds, keys and JSON types; ``prove_graph`` proves the values."""
    if not 1 <= len(items) <= limits.LAYERS:
        raise ModelFileError(
            f"graph: must hold 1 to {limits.LAYERS} layers, got {len(items)} (rule F8)"
        )
    for number, item in enumerate(items):
        where = f"graph layer {number}"
        if not isinstance(item, dict) or not isinstance(item.get("kind"), str):
            raise ModelFileError(f"{where}: must be an object with a text 'kind' (rule F8)")
        if item["kind"] not in _GRAPH_FIELDS:
            raise ModelFileError(
                f"{where}: kind {shown(item['kind'])} is unknown; known: "
                f"{sorted(_GRAPH_FIELDS)} (rule F8)"
            )
        _check_keys(where, item, {"kind": _is_text, **_GRAPH_FIELDS[item["kind"]]}, "F8")
    return Graph.from_json(items)


def _check_keys(
    where: str, values: dict[str, Any], expected: dict[str, Callable[[Any], bool]], rule: str
) -> None:
    if set(values) != set(expected):
        raise ModelFileError(
            f"{where}: keys must be {sorted(expected)}, got {shown(sorted(values))} (rule {rule})"
        )
    for key, has_type in expected.items():
        if not has_type(values[key]):
            kind = has_type.__name__.removeprefix("_is_").replace("_", " ")
            raise ModelFileError(
                f"{where}: {key!r} must be of type {kind}, got {shown(values[key])} (rule {rule})"
            )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_anything(value: Any) -> bool:
    return True


def _is_integer_or_null(value: Any) -> bool:
    return value is None or type(value) is int


def _is_pair_of_integers(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)


_GRAPH_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "linear": {"name": _is_text, "inputs": _is_integer, "outputs": _is_integer, "clip": _is_number},
    "lstm": {
        "name": _is_text,
        "inputs": _is_integer,
        "cells": _is_integer,
        "bidirectional": _is_boolean,
        "projection": _is_integer_or_null,
        "peephole": _is_boolean,
        "merge": _is_text,
    },
    "conv2d": {
        "name": _is_text,
        "input_channels": _is_integer,
        "output_channels": _is_integer,
        "kernel": _is_pair_of_integers,
        "stride": _is_pair_of_integers,
        "padding": _is_pair_of_integers,
        "clip": _is_number,
    },
    "output": {"name": _is_text, "inputs": _is_integer, "outputs": _is_integer},
}
