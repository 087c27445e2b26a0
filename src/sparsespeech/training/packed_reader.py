"""Tensors of a packed checkpoint, read without torch.

Axes: n elements of a flattened tensor. The format is that of ``packed_tensors.py``. Zeros are not
stored, so a small file may stand for large tensors; how large is capped before anything is
allocated: parameters and masks have the shapes of the graph, other tensors are small, and all
together are in proportion to the bytes of the files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize

from sparsespeech.errors import CheckpointError
from sparsespeech.training.nonzero_coding import decode_places
from sparsespeech.training.parameter_shapes import PARAMETER_GROUPS, Shape, check_groups

INDEX_NAME = "packed.json"
FORMAT_VERSION = 1
_OTHER_ELEMENTS = 2**16  # of a tensor that the graph does not shape, as of the policy
# 99.9 % sparsity takes 12 bytes for 3,000 elements of weights, average and mask.
_ELEMENTS_PER_BYTE = 512
_FREE_ELEMENTS = 2**22  # networks of zeros only, as of tests
_STORED = {"F32": "<f4", "F64": "<f8", "U8": "u1", "BF16": "<u2", "I64": "<i8", "BOOL": "u1"}
# Type of a tensor in the index -> that of its values in a file, and that it comes back in.
_TYPES = {
    "float32": ("<f4", np.float32),
    "float64": ("<f8", np.float64),
    "bfloat16": ("<u2", np.float32),
    "int64": ("<i8", np.int64),
    "bool": ("u1", np.bool_),
}

Piece = NDArray[Any]


@dataclass(frozen=True)
class PackedEntry:
    """One tensor of the index: its streams; without places it is dense, without values all 1."""

    shape: Shape
    type: str
    values: str | None
    coding: str | None
    places: str | None

    @classmethod
    def from_json(cls, name: str, item: Any) -> PackedEntry:
        """The entry of the tensor ``name``; raises ValueError unless it is one."""
        sparse = {"coding", "places"} & set(item)
        keys = {"shape", "type"} | ({"coding", "places"} if sparse else {"values"})
        if not isinstance(item, dict) or set(item) - {"values"} != keys - {"values"}:
            raise ValueError(f"tensor {name}: expected the keys {sorted(keys)}")
        if not sparse and "values" not in item:
            raise ValueError(f"tensor {name}: lacks its values")
        shape, texts = item["shape"], [value for key, value in item.items() if key != "shape"]
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"tensor {name}: shape must be a list of whole numbers")
        if not all(isinstance(text, str) for text in texts) or item["type"] not in _TYPES:
            raise ValueError(f"tensor {name}: unknown type, or streams that are no texts")
        streams = (item.get(key) for key in ("values", "coding", "places"))
        return cls(tuple(shape), item["type"], *streams)


@dataclass(frozen=True, eq=False)
class PackedTensors:
    """The index of a packed folder and the streams of all its files, proved by their digests."""

    path: Path  # of the index
    entries: Mapping[str, PackedEntry]
    streams: Mapping[str, Piece]

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shape of each tensor by name."""
        return {name: entry.shape for name, entry in self.entries.items()}

    def dense(self, name: str) -> NDArray[Any]:
        """One tensor, zeros included; bfloat16 comes as float32. Raises CheckpointError."""
        try:
            return self._dense(self.entries[name])
        except (ValueError, CheckpointError) as error:
            raise CheckpointError(f"{self.path}: {name} does not fit: {error}") from None

    def _dense(self, entry: PackedEntry) -> NDArray[Any]:
        stored, dtype = _TYPES[entry.type]
        if entry.places is None:
            return _decoded(self._stream(entry.values, stored), dtype).reshape(entry.shape)
        flat: Piece = np.zeros(math.prod(entry.shape), dtype=dtype)
        content = self._stream(entry.places, "u1")
        places = decode_places(entry.coding or "", content, flat.size)
        values: Piece = np.ones(places.size, dtype=dtype)
        if entry.values is not None:
            values = _decoded(self._stream(entry.values, stored), dtype)
        if values.size != places.size:
            raise ValueError(f"{values.size} values for {places.size} places")
        flat[places] = values
        return flat.reshape(entry.shape)

    def _stream(self, name: str | None, stored: str) -> Piece:
        stream = self.streams[name or ""]
        if stream.dtype != np.dtype(stored):
            raise ValueError(f"stream {name} is not of the type that the index says")
        return stream


def is_packed(folder: Path) -> bool:
    """True if ``folder`` holds packed tensors."""
    return (folder / INDEX_NAME).is_file()


def open_packed(folder: Path, parameters: Mapping[str, Shape]) -> PackedTensors:
    """The packed tensors of a folder; nothing is made dense yet.

    ``parameters`` are the shapes that the graph gives to weights, averages and masks. Raises
    CheckpointError where a file is missing or damaged, where the index does not fit it, and where
    tensors are larger than the graph or the files allow.
    """
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(index, dict) or set(index) != {"format_version", "files", "tensors"}:
            raise ValueError("expected the keys format_version, files and tensors")
        if type(index["format_version"]) is not int or index["format_version"] != FORMAT_VERSION:
            raise ValueError(f"not of format version {FORMAT_VERSION}")
        entries = {
            name: PackedEntry.from_json(name, item) for name, item in _items(index, "tensors")
        }
        pieces: dict[str, Piece] = {}
        for name, facts in _items(index, "files"):
            pieces |= _read_file(folder, name, facts)
        streams = _join(pieces)
        named = {name for entry in entries.values() for name in (entry.values, entry.places)}
        if named - {None} != set(streams):
            raise ValueError("the tensors do not name the streams that the files hold")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: incomplete or wrong: {error}; fetch it again") from None
    packed = PackedTensors(path, entries, streams)
    check_groups(str(path), packed.shapes, parameters)
    check_sizes(str(path), packed.shapes, sum(stream.nbytes for stream in streams.values()))
    return packed


def check_sizes(where: str, shapes: Mapping[str, Shape], stored_bytes: int) -> None:
    """Raise CheckpointError for more elements than ``stored_bytes`` may stand for."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    for name, size in sizes.items():
        if name.partition(".")[0] not in PARAMETER_GROUPS and size > _OTHER_ELEMENTS:
            raise CheckpointError(
                f"{where}: {name} has {size} elements, expected {_OTHER_ELEMENTS} at most"
            )
    total, most = sum(sizes.values()), _ELEMENTS_PER_BYTE * stored_bytes + _FREE_ELEMENTS
    if total > most:
        raise CheckpointError(
            f"{where}: {total} elements in {stored_bytes} stored bytes, expected {most} at most; "
            f"a network with so few weights left cannot be packed"
        )


def _items(index: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    if not isinstance(index[key], dict):
        raise ValueError(f"{key!r} must be an object")
    return list(index[key].items())


def _read_file(folder: Path, name: str, facts: Any) -> dict[str, Piece]:
    path = folder / name
    if path.parent != folder:
        raise CheckpointError(f"{folder / INDEX_NAME}: names a file of another folder: {name!r}")
    if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
        raise ValueError(f"no SHA-256 of {name!r}")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != facts["sha256"]:
            raise CheckpointError(
                f"{path}: SHA-256 differs from {INDEX_NAME}, the file is damaged; fetch it again"
            )
        pieces: list[tuple[str, dict[str, Any]]]
        pieces = deserialize(content)  # type: ignore[no-untyped-call]  # typed in part only
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    unknown = {tensor["dtype"] for _, tensor in pieces} - set(_STORED)
    if unknown:
        raise CheckpointError(f"{path}: holds tensors of the type {unknown.pop()}")
    return {
        piece: np.frombuffer(tensor["data"], dtype=_STORED[tensor["dtype"]])
        for piece, tensor in pieces
    }


def _join(pieces: Mapping[str, Piece]) -> dict[str, Piece]:
    """Streams by name from their pieces; raises ValueError where one is missing."""
    counts = Counter(name.rpartition("#")[0] for name in pieces)
    streams = {}
    for stream, count in counts.items():
        parts = [pieces.get(f"{stream}#{number}") for number in range(count)]
        found = [part for part in parts if part is not None]
        if len(found) < count or len({part.dtype for part in found}) > 1:
            raise ValueError(f"the pieces of the stream {stream!r} do not fit each other")
        streams[stream] = np.concatenate(found)
    return streams


def _decoded(values: Piece, dtype: type[np.generic]) -> NDArray[Any]:
    """Stored values in ``dtype``; bfloat16 is the upper half of a float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(dtype)
