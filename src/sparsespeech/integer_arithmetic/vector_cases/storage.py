"""A vector as a safetensors file: tensors by name, and one JSON text with everything else.

The file is 8 bytes of header length (little endian), a JSON header padded with spaces to a
multiple of 8, then the tensors without holes, wide elements first. The metadata key ``vector``
holds the JSON text: ``name``, ``kind``, ``rules``, ``about`` and facts of the kind. The same vector
always gives the same bytes, and any safetensors library reads the file.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech import atomic_file
from sparsespeech.graph import Graph
from sparsespeech.integer_arithmetic.lookup_tables import model_tables
from sparsespeech.model_file import model as model_types
from sparsespeech.model_file.model import InputQuantization, IntegerModel

Tensors = dict[str, NDArray[Any]]

_DTYPES = {
    "F64": "<f8",
    "I64": "<i8",
    "F32": "<f4",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
}
_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


@dataclass(frozen=True, eq=False)
class Vector:
    """One file of conformance vectors; ``kind`` says what the tensors mean."""

    name: str
    kind: str
    rules: tuple[str, ...]
    about: str
    tensors: Tensors
    facts: dict[str, Any] = field(default_factory=dict)


def to_bytes(vector: Vector) -> bytes:
    """The file's content."""
    order = sorted(vector.tensors, key=lambda n: (-vector.tensors[n].dtype.itemsize, n))
    described = {
        "name": vector.name,
        "kind": vector.kind,
        "rules": list(vector.rules),
        "about": vector.about,
        "facts": vector.facts,
    }
    header: dict[str, Any] = {"__metadata__": {"vector": json.dumps(described, sort_keys=True)}}
    contents: list[bytes] = []
    position = 0
    for name in order:
        tensor = vector.tensors[name]
        dtype = tensor.dtype.newbyteorder("<")
        content = np.ascontiguousarray(tensor, dtype=dtype).tobytes()
        header[name] = {
            "dtype": _NAMES[dtype],
            "shape": list(tensor.shape),
            "data_offsets": [position, position + len(content)],
        }
        contents.append(content)
        position += len(content)
    text = json.dumps(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(contents)


def read(path: Path) -> Vector:
    """Inverse of :func:`to_bytes`, for files of this repository."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    described = json.loads(header.pop("__metadata__")["vector"])
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(content[start + begin : start + end], dtype=_DTYPES[entry["dtype"]])
        tensors[name] = flat.reshape(entry["shape"])
    return Vector(
        described["name"],
        described["kind"],
        tuple(described["rules"]),
        described["about"],
        tensors,
        described["facts"],
    )


def write(vector: Vector, folder: Path) -> None:
    """Write ``folder/NAME.safetensors`` atomically."""
    atomic_file.write_bytes(folder / f"{vector.name}.safetensors", to_bytes(vector))


def flatten_model(model: IntegerModel) -> tuple[dict[str, Any], Tensors]:
    """Graph and layers of ``model`` as JSON and tensors; the tables follow from the bits."""
    tensors: Tensors = {}
    layers = [_flatten(layer, f"layers.{i}", tensors) for i, layer in enumerate(model.layers)]
    facts = {
        "graph": model.graph.to_json(),
        "layers": layers,
        "activation_bits": model.activation_bits,
    }
    return facts, tensors


def restore_model(vector: Vector) -> IntegerModel:
    """The model of a vector of kind ``model``; labels and features are placeholders."""
    graph = Graph.from_json(vector.facts["graph"])
    layers = tuple(_restore(layer, vector.tensors) for layer in vector.facts["layers"])
    bits = vector.facts["activation_bits"]
    return placeholder_model(graph, layers, bits)


def placeholder_model(
    graph: Graph, layers: tuple[model_types.IntegerLayer, ...], activation_bits: int
) -> IntegerModel:
    """An IntegerModel around ``layers`` whose labels and features are of no interest."""
    labels = layers[-1].weights.shape[0] if isinstance(layers[-1], model_types.OutputLayer) else 1
    return IntegerModel(
        graph=graph,
        layers=layers,
        labels=tuple(chr(0x4E00 + number) for number in range(labels - 1)),
        features={},
        input=InputQuantization(np.zeros(1), np.ones(1), 1.0, 0),
        tables=model_tables(activation_bits),
        activation_bits=activation_bits,
    )


def _flatten(value: Any, path: str, tensors: Tensors) -> Any:
    """Dataclasses become {"type", fields...}, arrays {"tensor": path}; the rest stays."""
    if isinstance(value, np.ndarray):
        tensors[path] = value
        return {"tensor": path}
    if dataclasses.is_dataclass(value):
        fields = {
            f.name: _flatten(getattr(value, f.name), f"{path}.{f.name}", tensors)
            for f in dataclasses.fields(value)
        }
        return {"type": type(value).__name__, **fields}
    return value


def _restore(value: Any, tensors: Tensors) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]]
    fields = {key: _restore(item, tensors) for key, item in value.items() if key != "type"}
    return getattr(model_types, value["type"])(**fields)
