"""Checkpoints: a folder of safetensors and JSON, written atomically.

``model.safetensors`` holds ``weights.NAME``, ``average.NAME``, ``policy.NAME`` (what the policy
remembers of past steps), ``masks.NAME`` where the run prunes, ``thresholds.GROUP`` once a threshold
ramp has begun and ``fixed_point.NAME`` once fixed-point retraining has started;
``optimizer.safetensors`` the moments; ``state.json`` everything else. Random numbers of a step
are drawn from generators seeded by (seed, step), so no generator state is kept, and a run that
is killed at any moment goes on from its last folder to the same bits.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparsespeech import atomic_file
from sparsespeech.errors import CheckpointError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph
from sparsespeech.training.checkpoint_state import (
    CHECKPOINTS,
    FORMAT_VERSION,
    STATE_NAME,
    CheckpointState,
    file_digest,
    find_checkpoint,
    list_checkpoints,
    read_checkpoint_state,
    read_state,
)
from sparsespeech.training.packed_reader import is_packed
from sparsespeech.training.packed_tensors import read_packed
from sparsespeech.training.parameter_shapes import check_groups, check_shapes, parameter_shapes

__all__ = [
    "Checkpoint",
    "find_checkpoint",
    "list_checkpoints",
    "load_checkpoint",
    "optimizer_tensors",
    "read_state",
    "read_tensors",
    "restore_optimizer",
    "save_checkpoint",
    "select",
]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint as evaluation, conversion and fine-tuning see it."""

    path: Path
    step: int
    graph: Graph
    features: MfccConfig
    mean: NDArray[np.float64]  # float64[F]
    deviation: NDArray[np.float64]  # float64[F]
    labels: tuple[str, ...]
    weights: dict[str, Tensor]  # averaged weights, pruned ones exactly 0.0
    facts: dict[str, Any]  # recipe and training progress
    fixed_point: dict[str, Tensor] = field(default_factory=dict)  # ranges of its retraining


def save_checkpoint(
    run: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    state: Mapping[str, Any],
    keep: int | None,
) -> Path:
    """Write ``run/checkpoints/step-N`` and remove all but the ``keep`` newest; None keeps all.

    Raises CheckpointError, the older checkpoints untouched, where the disk is full or read-only.
    """
    target = run / CHECKPOINTS / f"step-{step:08d}"
    for leftover in target.parent.glob(".*.partial"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file.new_folder(target) as folder:
            save_file(
                {name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors"
            )
            save_file(
                {name: t.contiguous() for name, t in optimizer.items()},
                folder / "optimizer.safetensors",
            )
            digests = {
                file.name: file_digest(file) for file in sorted(folder.glob("*.safetensors"))
            }
            content = {"format_version": FORMAT_VERSION, "step": step, "sha256": digests, **state}
            (folder / STATE_NAME).write_text(json.dumps(content, indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        advice = "is there space, and may you write there? Else choose another --output"
        if list_checkpoints(run):
            advice = "earlier checkpoints are intact, free space and use --resume"
        raise CheckpointError(f"{target}: cannot save the checkpoint: {error}; {advice}") from None
    for old in list_checkpoints(run)[:-keep] if keep is not None else []:
        _remove(old)
    return target


def _remove(old: Path) -> None:
    """Remove a checkpoint so that a kill half way leaves no folder that looks like one."""
    hidden = old.with_name(f".{old.name}.{os.getpid()}.partial")
    with suppress(OSError):  # one checkpoint too many is no reason to stop training
        old.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """All tensors of ``NAME.safetensors`` in a checkpoint folder; raises CheckpointError.

    Those of the model may be packed (``packed_tensors.py``). They are proved to fit the graph, and
    the averaged weights to be complete, float32 and finite.
    """
    state = read_checkpoint_state(folder)
    if name == "model" and is_packed(folder):
        tensors = read_packed(folder, parameter_shapes(state.graph))
    else:
        tensors = _read_file(folder / f"{name}.safetensors", state)
    if name == "model":
        _prove_model(tensors, state)
    return tensors


def _read_file(path: Path, state: CheckpointState) -> dict[str, Tensor]:
    try:
        if file_digest(path) != state.digests.get(path.name):
            raise CheckpointError(
                f"{path}: SHA-256 differs from {STATE_NAME}, the file is damaged; "
                f"use an earlier checkpoint"
            )
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    return tensors


def _prove_model(tensors: Mapping[str, Tensor], state: CheckpointState) -> None:
    where, parameters = str(state.folder), parameter_shapes(state.graph)
    check_groups(where, {name: tuple(t.shape) for name, t in tensors.items()}, parameters)
    average = select(tensors, "average")
    check_shapes(where, {name: tuple(t.shape) for name, t in average.items()}, parameters)
    for name, tensor in average.items():
        if tensor.dtype != torch.float32 or not bool(tensor.isfinite().all()):
            raise CheckpointError(
                f"{where}: {name} must hold finite numbers of float32; use an earlier checkpoint"
            )


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with ``prefix.``, the prefix removed."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a run or checkpoint folder for evaluation; raises CheckpointError."""
    state = read_checkpoint_state(find_checkpoint(path))
    tensors = read_tensors(state.folder, "model")
    return Checkpoint(
        path=state.folder,
        step=state.step,
        graph=state.graph,
        features=state.features,
        mean=state.mean,
        deviation=state.deviation,
        labels=state.labels,
        weights=select(tensors, "average"),
        facts=state.facts,
        fixed_point=select(tensors, "fixed_point"),
    )


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str]
) -> dict[str, Tensor]:
    """Moments as ``NAME/key`` tensors; ``names`` maps parameters to their names."""
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], tensors: Mapping[str, Tensor]
) -> None:
    """Inverse of :func:`optimizer_tensors`; raises KeyError or ValueError if they do not fit."""
    by_name = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        name, _, moment = key.rpartition("/")
        parameter = by_name[name]
        if value.shape != (() if moment == "step" else parameter.shape):
            raise ValueError(f"{key} of shape {tuple(value.shape)} is none of the optimizer's")
        # The fused AdamW keeps its step count beside the parameter too, on a GPU as well.
        optimizer.state[parameter][moment] = value.clone().to(parameter.device)
