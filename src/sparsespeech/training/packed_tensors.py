"""Sparse tensors in safetensors files below a size limit: only nonzeros are stored.

A folder of ``packed-00001.safetensors``, ... and ``packed.json``. Each tensor is a stream of
values and, if it is sparse, a stream of bytes that say where they are (``nonzero_coding.py``).
Tensors with the same places share one such stream, and a mask has nothing else. Streams are cut
where a file is full; the pieces of the stream S are called ``S#0``, ``S#1``, ...

Tensors come back with equal values; a zero comes back as +0.0, whatever its sign was. The reader,
``packed_reader.py``, needs no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from sparsespeech.errors import CheckpointError
from sparsespeech.training.checkpoint_state import file_digest
from sparsespeech.training.nonzero_coding import encode_places
from sparsespeech.training.packed_reader import (
    FORMAT_VERSION,
    INDEX_NAME,
    check_sizes,
    open_packed,
)
from sparsespeech.training.parameter_shapes import Shape

DEFAULT_SHARD_BYTES = 16 * 2**20
SMALLEST_SHARD_BYTES = 2**12
_HEADER_BYTES = 256  # of a file, and again for each piece beside its name, more than ever needed
_TYPES = ("float32", "float64", "bfloat16", "int64", "bool")


def write_packed(
    folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int = DEFAULT_SHARD_BYTES
) -> dict[str, Any]:
    """Write ``tensors`` into ``folder`` (which exists) and return the content of its index.

    No file but the index is as large as ``shard_bytes``. Raises CheckpointError for a limit
    below 4 KiB, a tensor of another type than float, int64 or bool, or next to no nonzeros;
    OSError.
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
        files[path.name] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_sizes("cannot pack", shapes, sum(t.nbytes for t in streams.values()))
    index = {"format_version": FORMAT_VERSION, "files": files, "tensors": entries}
    (folder / INDEX_NAME).write_text(json.dumps(index, indent=1), encoding="utf-8")
    return index


def read_packed(folder: Path, parameters: Mapping[str, Shape]) -> dict[str, Tensor]:
    """All tensors of a folder of :func:`write_packed`, dense; bfloat16 as float32.

    ``parameters`` are the shapes that the graph gives to weights, averages and masks. Raises
    CheckpointError where a file is missing or damaged, or does not fit them.
    """
    packed = open_packed(folder, parameters)
    return {name: torch.from_numpy(packed.dense(name)) for name in packed.shapes}


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
