"""A checkpoint to pass on: nonzeros only, in files small enough for any repository.

The folder holds ``state.json`` of the checkpoint and its packed tensors (``packed_tensors.py``);
``load_checkpoint`` reads it like any other. The optimizer's moments stay behind, so a run cannot
be resumed from it, but fine-tuned, evaluated and quantized it can be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sparsespeech import atomic_file
from sparsespeech.errors import CheckpointError
from sparsespeech.training.checkpoint import find_checkpoint, read_state, read_tensors, select
from sparsespeech.training.packed_tensors import DEFAULT_SHARD_BYTES, write_packed


@dataclass(frozen=True)
class PackedSizes:
    """What packing brought."""

    checkpoint: Path
    step: int
    parameters: int
    nonzeros: int
    bytes_dense: int  # of the same tensors, stored dense
    bytes_packed: int
    files: int
    largest_file: int


def pack_checkpoint(
    path: Path,
    output: Path,
    *,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
    average_only: bool = False,
    bfloat16: bool = False,
) -> PackedSizes:
    """Write the checkpoint, or newest checkpoint of the run, at ``path`` packed into ``output``.

    ``average_only`` leaves out what evaluation and conversion do not need: the weights that are
    not averaged, masks and the state of the policy. ``bfloat16`` rounds the matrices, the only
    choice that loses anything. Raises CheckpointError.
    """
    folder = find_checkpoint(path)
    state, tensors = read_state(folder), read_tensors(folder, "model")
    if output.exists():
        raise CheckpointError(f"{output}: exists already; give a folder that does not")
    if average_only:
        kept = ("average.", "fixed_point.")
        tensors = {name: t for name, t in tensors.items() if name.startswith(kept)}
    bytes_dense = sum(t.numel() * t.element_size() for t in tensors.values())
    if bfloat16:
        tensors = {name: _rounded(tensor) for name, tensor in tensors.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file.new_folder(output) as partial:
        index = write_packed(partial, tensors, shard_bytes)
        state["sha256"] = {name: facts["sha256"] for name, facts in index["files"].items()}
        (partial / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    sizes = [facts["bytes"] for facts in index["files"].values()]
    average = select(tensors, "average")
    return PackedSizes(
        checkpoint=folder,
        step=int(state["step"]),
        parameters=sum(t.numel() for t in average.values()),
        nonzeros=sum(int(t.count_nonzero()) for t in average.values()),
        bytes_dense=bytes_dense,
        bytes_packed=sum(file.stat().st_size for file in output.iterdir()),
        files=len(sizes),
        largest_file=max(sizes),
    )


def _rounded(tensor: Tensor) -> Tensor:
    matrix = tensor.dtype == torch.float32 and tensor.ndim == 2
    return tensor.to(torch.bfloat16) if matrix else tensor
