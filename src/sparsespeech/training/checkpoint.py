"""Checkpoints: a folder of safetensors and JSON, written atomically.

``model.safetensors`` holds ``weights.NAME``, ``average.NAME`` and ``masks.NAME``, and
``fixed_point.NAME`` once fixed-point retraining has started;
``optimizer.safetensors`` the moments; ``state.json`` everything else. Random numbers of a step
are drawn from generators seeded by (seed, step), so no generator state is kept, and a run that
is killed at any moment goes on from its last folder to the same bits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
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
from sparsespeech.errors import CheckpointError, SparseSpeechError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph
from sparsespeech.training.packed_tensors import is_packed, read_packed

FORMAT_VERSION = 1
_FOLDER = "checkpoints"


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
    keep: int,
) -> Path:
    """Write ``run/checkpoints/step-N`` and remove all but the ``keep`` newest.

    Raises CheckpointError, the older checkpoints untouched, where the disk is full or read-only.
    """
    target = run / _FOLDER / f"step-{step:08d}"
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(".*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        with atomic_file.new_folder(target) as folder:
            save_file(
                {name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors"
            )
            save_file(
                {name: t.contiguous() for name, t in optimizer.items()},
                folder / "optimizer.safetensors",
            )
            digests = {file.name: _digest(file) for file in sorted(folder.glob("*.safetensors"))}
            content = {"format_version": FORMAT_VERSION, "step": step, "sha256": digests, **state}
            (folder / "state.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{target}: cannot save the checkpoint: {error}; earlier "
            f"checkpoints are intact, free space and use --resume"
        ) from None
    for old in list_checkpoints(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def list_checkpoints(run: Path) -> list[Path]:
    """Complete checkpoint folders of a run, oldest first."""
    return sorted(path.parent for path in (run / _FOLDER).glob("step-*/state.json"))


def find_checkpoint(path: Path) -> Path:
    """The folder itself if it is a checkpoint, else the newest checkpoint of a run folder."""
    if (path / "state.json").is_file():
        return path
    found = list_checkpoints(path)
    if not found:
        raise CheckpointError(
            f"{path}: no checkpoint here; expected a run folder of "
            f"'sparsespeech train' or one of its checkpoints/step-N folders"
        )
    return found[-1]


def read_state(folder: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint folder; raises CheckpointError."""
    path = folder / "state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    if not isinstance(state, dict) or state.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{path}: not a checkpoint of format version {FORMAT_VERSION}")
    for key in ("sha256", "recipe", "progress"):
        if not isinstance(state.get(key, {}), dict):
            raise CheckpointError(f"{path}: {key!r} is no JSON object; use an earlier checkpoint")
    return state


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """All tensors of ``NAME.safetensors`` in a checkpoint folder; raises CheckpointError.

    Those of the model may be packed (``packed_tensors.py``).
    """
    if name == "model" and is_packed(folder):
        return {
            key: tensor.float() if tensor.dtype == torch.bfloat16 else tensor
            for key, tensor in read_packed(folder).items()
        }
    path = folder / f"{name}.safetensors"
    expected = read_state(folder).get("sha256", {}).get(path.name)
    try:
        if _digest(path) != expected:
            raise CheckpointError(
                f"{path}: SHA-256 differs from state.json, the file is damaged; "
                f"use an earlier checkpoint"
            )
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    return tensors


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def select(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name starts with ``prefix.``, the prefix removed."""
    return {
        name.removeprefix(f"{prefix}."): tensor
        for name, tensor in tensors.items()
        if name.startswith(f"{prefix}.")
    }


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a run or checkpoint folder for evaluation; raises CheckpointError."""
    folder = find_checkpoint(path)
    state = read_state(folder)
    tensors = read_tensors(folder, "model")
    try:
        return Checkpoint(
            path=folder,
            step=int(state["step"]),
            graph=Graph.from_json(state["graph"]),
            features=MfccConfig.from_json(state["features"]),
            mean=np.array(state["mean"], dtype=np.float64),
            deviation=np.array(state["deviation"], dtype=np.float64),
            labels=tuple(state["labels"]),
            weights=select(tensors, "average"),
            facts={"recipe": state["recipe"], "progress": state["progress"]},
            fixed_point=select(tensors, "fixed_point"),
        )
    except (KeyError, TypeError, ValueError, SparseSpeechError) as error:
        raise CheckpointError(f"{folder}: state.json is incomplete or wrong: {error}") from None


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
    """Inverse of :func:`optimizer_tensors`."""
    by_name = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        name, _, moment = key.rpartition("/")
        parameter = by_name[name]
        # AdamW keeps its step count on the CPU wherever the parameter is.
        place = value.device if moment == "step" else parameter.device
        optimizer.state[parameter][moment] = value.clone().to(place)
