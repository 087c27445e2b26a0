"""Sparse tensors in safetensors files below a size limit: only nonzeros are stored.

A folder of ``packed-00001.safetensors``, ... and ``packed.json``. Each tensor is a stream of
values and, if it is sparse, a stream of bytes that say where they are (``nonzero_coding.py``).
Tensors with the same places share one such stream, and a mask has nothing else. Streams are cut
where a file is full; the pieces of the stream S are called ``S#0``, ``S#1``, ...

Tensors come back with equal values; a zero comes back as +0.0, whatever its sign was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sparsespeech.errors import CheckpointError
from sparsespeech.training.nonzero_coding import decode_places, encode_places

INDEX_NAME = "packed.json"
DEFAULT_SHARD_BYTES = 16 * 2**20
SMALLEST_SHARD_BYTES = 2**12
_FORMAT_VERSION = 1
_HEADER_BYTES = 256  # of a file, and again for each piece beside its name, more than ever needed
_LARGEST_TENSOR = 2**31
_TYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16}
_TYPES |= {"int64": torch.int64, "bool": torch.bool}


def write_packed(
    folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int = DEFAULT_SHARD_BYTES
) -> dict[str, Any]:
    """Write ``tensors`` into ``folder`` (which exists) and return the content of its index.

    No file but the index is as large as ``shard_bytes``. Raises CheckpointError for a limit
    below 4 KiB or a tensor of another type than float, int64 or bool; OSError.
    """
    if shard_bytes < SMALLEST_SHARD_BYTES:
        raise CheckpointError(
            f"shards of {shard_bytes} bytes are too small: give at least {SMALLEST_SHARD_BYTES}"
        )
    entries: dict[str, dict[str, Any]] = {}
    streams: dict[str, Tensor] = {}
    known: dict[bytes, str] = {}  # digest of places -> stream
    for name, tensor in tensors.items():
        entries[name] = _pack(name, tensor.detach().cpu(), streams, known)
    files = {}
    for number, pieces in enumerate(_shards(streams, shard_bytes), start=1):
        path = folder / f"packed-{number:05d}.safetensors"
        path.write_bytes(save(pieces))
        files[path.name] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    index = {"format_version": _FORMAT_VERSION, "files": files, "tensors": entries}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return index


def is_packed(folder: Path) -> bool:
    """True if ``folder`` holds packed tensors."""
    return (folder / INDEX_NAME).is_file()


def read_packed(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder of :func:`write_packed`, dense.

    Raises CheckpointError where a file is missing, damaged or does not fit the index.
    """
    path = folder / INDEX_NAME
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        if index["format_version"] != _FORMAT_VERSION:
            raise CheckpointError(f"{path}: not of format version {_FORMAT_VERSION}")
        pieces: dict[str, Tensor] = {}
        for name, facts in index["files"].items():
            pieces |= _read_file(folder, str(name), facts["sha256"])
        return {
            str(name): _unpack(str(name), entry, pieces) for name, entry in index["tensors"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path}: the packed tensors do not fit it: {error!r}") from None


def _pack(
    name: str, tensor: Tensor, streams: dict[str, Tensor], known: dict[bytes, str]
) -> dict[str, Any]:
    """Add the streams of one tensor; its entry in the index."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in _TYPES:
        raise CheckpointError(f"{name}: tensors of type {kind} cannot be packed")
    entry: dict[str, Any] = {"shape": list(tensor.shape), "type": kind}
    flat = tensor.flatten()
    nonzero = (flat != 0).numpy()
    coding, content = encode_places(nonzero)
    values = flat[torch.from_numpy(nonzero)]
    only_ones = bool((values == 1).all())
    kept = 0 if only_ones else values.numel() * values.element_size()
    if tensor.ndim < 2 or content.size + kept >= flat.numel() * flat.element_size():
        streams[f"{name}.values"] = flat.clone()
        return {**entry, "values": f"{name}.values"}
    digest = hashlib.sha256(content.tobytes()).digest()
    if digest not in known:
        known[digest] = f"{name}.places"
        streams[known[digest]] = torch.from_numpy(content)
    entry |= {"coding": coding, "places": known[digest]}
    if not only_ones:
        streams[f"{name}.values"] = values
        entry["values"] = f"{name}.values"
    return entry


def _shards(streams: Mapping[str, Tensor], limit: int) -> Iterator[dict[str, Tensor]]:
    """Streams cut into pieces, in as many files below ``limit`` bytes as it takes."""
    shard: dict[str, Tensor] = {}
    room = limit - _HEADER_BYTES
    for name, stream in streams.items():
        place = number = 0
        while place < len(stream) or number == 0:
            piece_name = f"{name}#{number}"
            overhead = _HEADER_BYTES + len(piece_name)
            fitting = (room - overhead) // stream.element_size()
            if fitting <= 0:
                yield shard
                shard, room = {}, limit - _HEADER_BYTES
                continue
            shard[piece_name] = stream[place : place + fitting].clone()
            room -= overhead + shard[piece_name].numel() * stream.element_size()
            place, number = place + fitting, number + 1
    yield shard


def _read_file(folder: Path, name: str, digest: str) -> dict[str, Tensor]:
    path = folder / name
    if path.parent != folder:
        raise CheckpointError(f"{folder / INDEX_NAME}: names a file of another folder: {name!r}")
    try:
        if _digest(path) != digest:
            raise CheckpointError(
                f"{path}: SHA-256 differs from {INDEX_NAME}, the file is damaged; fetch it again"
            )
        pieces: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    return pieces


def _unpack(name: str, entry: Mapping[str, Any], pieces: Mapping[str, Tensor]) -> Tensor:
    shape = [int(size) for size in entry["shape"]]
    if min(shape, default=1) < 0 or math.prod(shape) > _LARGEST_TENSOR:
        raise CheckpointError(f"{name}: a tensor of shape {shape} is too large")
    dtype = _TYPES[entry["type"]]
    if "places" not in entry:
        return _joined(entry["values"], pieces).to(dtype).reshape(shape)
    content = _joined(entry["places"], pieces).numpy()
    places = decode_places(entry["coding"], content.astype(np.uint8), math.prod(shape))
    flat = torch.zeros(math.prod(shape), dtype=dtype)
    values = _joined(entry["values"], pieces) if "values" in entry else torch.ones(len(places))
    if len(values) != len(places):
        raise CheckpointError(f"{name}: {len(values)} values for {len(places)} places")
    flat[torch.from_numpy(places)] = values.to(dtype)
    return flat.reshape(shape)


def _joined(stream: str, pieces: Mapping[str, Tensor]) -> Tensor:
    found = [pieces[f"{stream}#0"]]
    while (name := f"{stream}#{len(found)}") in pieces:
        found.append(pieces[name])
    return torch.cat(found)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
