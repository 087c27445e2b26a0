"""Tensors of a packed checkpoint, read without torch.

The format is that of ``training/packed_tensors.py``: files of safetensors with pieces of streams,
and an index that says which stream of values and which stream of places makes each tensor.
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

INDEX_NAME = "packed.json"
_FORMAT_VERSION = 1
_LARGEST_TENSOR = 2**31
_TYPES = {"F32": "<f4", "F64": "<f8", "U8": "u1", "BF16": "<u2", "I64": "<i8", "BOOL": "?"}

Piece = NDArray[Any]


@dataclass(frozen=True, eq=False)
class PackedTensors:
    """The index of a packed folder and the pieces of all its files, proved by their digests."""

    path: Path  # of the index
    tensors: Mapping[str, Any]
    pieces: Mapping[str, Piece]

    def dense(self, name: str) -> NDArray[np.float32]:
        """One tensor of floats, zeros included; raises CheckpointError."""
        try:
            entry = self.tensors[name]
            shape = [int(size) for size in entry["shape"]]
            if min(shape, default=1) < 0 or math.prod(shape) > _LARGEST_TENSOR:
                raise CheckpointError(f"{self.path}: {name} of shape {shape} is too large")
            if "places" not in entry:
                return _floats(self._joined(entry["values"])).reshape(shape)
            content = self._joined(entry["places"]).astype(np.uint8)
            flat = np.zeros(math.prod(shape), dtype=np.float32)
            places = decode_places(entry["coding"], content, flat.size)
            flat[places] = _floats(self._joined(entry["values"])) if "values" in entry else 1.0
            return flat.reshape(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{self.path}: the packed tensor {name} does not fit it: {error!r}"
            ) from None

    def _joined(self, stream: str) -> Piece:
        found = [self.pieces[f"{stream}#0"]]
        while (name := f"{stream}#{len(found)}") in self.pieces:
            found.append(self.pieces[name])
        return np.concatenate(found)


def read_packed_tensors(folder: Path) -> PackedTensors:
    """The packed tensors of a checkpoint folder; raises CheckpointError."""
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format_version"] != _FORMAT_VERSION:
            raise CheckpointError(f"{path}: not of format version {_FORMAT_VERSION}")
        pieces: dict[str, Piece] = {}
        for name, facts in index["files"].items():
            pieces |= _read_file(folder, str(name), facts["sha256"])
        return PackedTensors(path, dict(index["tensors"]), pieces)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
        raise CheckpointError(f"{path}: the packed tensors do not fit it: {error!r}") from None


def _read_file(folder: Path, name: str, digest: str) -> dict[str, Piece]:
    path = folder / name
    if path.parent != folder:
        raise CheckpointError(f"{folder / INDEX_NAME}: names a file of another folder: {name!r}")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointError(
            f"{path}: SHA-256 differs from {INDEX_NAME}, the file is damaged; fetch it again"
        )
    pieces: list[tuple[str, dict[str, Any]]] = deserialize(  # type: ignore[no-untyped-call]
        content  # safetensors is typed in part
    )
    return {
        name: np.frombuffer(facts["data"], dtype=_TYPES[facts["dtype"]]) for name, facts in pieces
    }


def _floats(values: Piece) -> NDArray[np.float32]:
    """Floats as they are; bfloat16 is the upper half of a float32."""
    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
