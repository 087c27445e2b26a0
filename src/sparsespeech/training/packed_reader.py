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


@dataclass(frozen=True, eq=False)
class PackedTensors:
    """The index of a packed folder and the pieces of all its files, proved by their digests."""

    path: Path  # of the index
    shapes: Mapping[str, Shape]
    entries: Mapping[str, Mapping[str, Any]]
    pieces: Mapping[str, Piece]

    def dense(self, name: str) -> NDArray[Any]:
        """One tensor, zeros included; bfloat16 comes as float32. Raises CheckpointError."""
        try:
            return self._dense(self.entries[name], self.shapes[name])
        except (KeyError, TypeError, ValueError, CheckpointError) as error:
            raise CheckpointError(f"{self.path}: {name} does not fit: {error!r}") from None

    def _dense(self, entry: Mapping[str, Any], shape: Shape) -> NDArray[Any]:
        stored, dtype = _TYPES[entry["type"]]
        if "places" not in entry:
            return _decoded(self._joined(entry["values"], stored), dtype).reshape(shape)
        flat: Piece = np.zeros(math.prod(shape), dtype=dtype)
        places = decode_places(entry["coding"], self._joined(entry["places"], "u1"), flat.size)
        values: Piece = np.ones(places.size, dtype=dtype)
        if "values" in entry:
            values = _decoded(self._joined(entry["values"], stored), dtype)
        if values.size != places.size:
            raise ValueError(f"{values.size} values for {places.size} places")
        flat[places] = values
        return flat.reshape(shape)

    def _joined(self, stream: str, stored: str) -> Piece:
        found = [self.pieces[f"{stream}#0"]]
        while (name := f"{stream}#{len(found)}") in self.pieces:
            found.append(self.pieces[name])
        if any(piece.dtype != np.dtype(stored) for piece in found):
            raise ValueError(f"{stream} is not of the type that the index says")
        return np.concatenate(found)


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
        if index["format_version"] != FORMAT_VERSION:
            raise CheckpointError(f"{path}: not of format version {FORMAT_VERSION}")
        entries = {str(name): dict(entry) for name, entry in index["tensors"].items()}
        shapes = {name: _shape(name, entry) for name, entry in entries.items()}
        pieces: dict[str, Piece] = {}
        for name, facts in index["files"].items():
            pieces |= _read_file(folder, str(name), facts["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path}: incomplete or wrong: {error!r}; fetch it again") from None
    check_groups(str(path), shapes, parameters)
    check_sizes(str(path), shapes, sum(piece.nbytes for piece in pieces.values()))
    return PackedTensors(path, shapes, entries, pieces)


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


def _shape(name: str, entry: Mapping[str, Any]) -> Shape:
    shape = tuple(entry["shape"])
    if not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"{name} of shape {shape}")
    return shape


def _read_file(folder: Path, name: str, digest: str) -> dict[str, Piece]:
    path = folder / name
    if path.parent != folder:
        raise CheckpointError(f"{folder / INDEX_NAME}: names a file of another folder: {name!r}")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise CheckpointError(
                f"{path}: SHA-256 differs from {INDEX_NAME}, the file is damaged; fetch it again"
            )
        pieces: list[tuple[str, dict[str, Any]]]
        pieces = deserialize(content)  # type: ignore[no-untyped-call]  # typed in part only
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    return {
        piece: np.frombuffer(facts["data"], dtype=_STORED[facts["dtype"]])
        for piece, facts in pieces
    }


def _decoded(values: Piece, dtype: type[np.generic]) -> NDArray[Any]:
    """Stored values in ``dtype``; bfloat16 is the upper half of a float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(dtype)
