"""Weights of a training checkpoint, read without torch.

Axes: O outputs, I inputs. The folder is described in ``training/checkpoint.py``; the weights
shown are the averaged ones, which evaluation and conversion use. Matrices get the names that
they have in a model file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sparsespeech.errors import CheckpointError, SparseSpeechError
from sparsespeech.graph import Graph, Layer, Lstm
from sparsespeech.model_file.tensors import DIRECTIONS
from sparsespeech.report.packed_weights import INDEX_NAME, read_packed_tensors
from sparsespeech.report.weights import WeightMatrix, compress

_FORMAT_VERSION = 1
_STATE = "state.json"
_TENSORS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class CheckpointWeights:
    """The averaged weights of one checkpoint folder."""

    folder: Path
    step: int
    graph: Graph
    features: dict[str, Any]
    facts: dict[str, Any]  # recipe and training progress

    def matrices(self) -> Iterator[WeightMatrix]:
        """All weight matrices in graph order; raises CheckpointError."""
        path = self.folder / _TENSORS
        if (self.folder / INDEX_NAME).is_file():
            packed = read_packed_tensors(self.folder)
            for name, source in matrix_names(self.graph):
                yield _matrix(name, packed.dense(f"average.{source}"))
            return
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name, source in matrix_names(self.graph):
                    yield _matrix(name, tensors.get_tensor(f"average.{source}"))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot read the weights: {error}") from None


def is_checkpoint(path: Path) -> bool:
    """True for a run folder with checkpoints and for one of its checkpoint folders."""
    return (path / _STATE).is_file() or bool(_checkpoints(path))


def read_checkpoint_weights(path: Path) -> CheckpointWeights:
    """The checkpoint at ``path``, or the newest one of a run folder; raises CheckpointError.

    The SHA-256 of the tensors must be that of ``state.json``.
    """
    found = [path] if (path / _STATE).is_file() else _checkpoints(path)
    if not found:
        raise CheckpointError(
            f"{path}: no checkpoint here; expected a run folder of "
            f"'sparsespeech train' or one of its checkpoints/step-N folders"
        )
    folder = found[-1]
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        if not isinstance(state, dict) or state.get("format_version") != _FORMAT_VERSION:
            raise CheckpointError(
                f"{folder / _STATE}: not a checkpoint of format version {_FORMAT_VERSION}"
            )
        if not (folder / INDEX_NAME).is_file():  # the index of packed tensors has their digests
            _check_digest(folder, state["sha256"][_TENSORS])
        return CheckpointWeights(
            folder=folder,
            step=int(state["step"]),
            graph=Graph.from_json(state["graph"]),
            features=dict(state["features"]),
            facts={"recipe": state["recipe"], "progress": state["progress"]},
        )
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot read: {error}") from None
    except (
        KeyError, TypeError, ValueError, AttributeError, RecursionError, SparseSpeechError
    ) as error:  # fmt: skip
        raise CheckpointError(f"{folder / _STATE}: incomplete or wrong: {error!r}") from None


def _matrix(name: str, dense: NDArray[np.floating]) -> WeightMatrix:
    """A tensor [O, ...] as a matrix [O, I]."""
    if dense.ndim < 2:
        raise CheckpointError(f"{name}: not a matrix but a tensor of shape {dense.shape}")
    return compress(name, dense.reshape(dense.shape[0], -1))


def _checkpoints(run: Path) -> list[Path]:
    """Complete checkpoint folders of a run, oldest first."""
    return sorted(path.parent for path in (run / "checkpoints").glob(f"step-*/{_STATE}"))


def _check_digest(folder: Path, expected: str) -> None:
    path = folder / _TENSORS
    with path.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != expected:
            raise CheckpointError(
                f"{path}: SHA-256 differs from {_STATE}, the file is damaged; "
                f"use an earlier checkpoint"
            )


def matrix_names(graph: Graph) -> Iterator[tuple[str, str]]:
    """Each matrix's name in a model file and in a checkpoint, in graph order."""
    for layer in graph.layers:
        yield from _layer_names(layer)


def _layer_names(layer: Layer) -> Iterator[tuple[str, str]]:
    if not isinstance(layer, Lstm):
        yield f"{layer.name}.weights", f"{layer.name}.weight"
        return
    for number in range(2 if layer.bidirectional else 1):
        name, source = f"{layer.name}.{DIRECTIONS[number]}", f"{layer.name}.directions.{number}"
        yield f"{name}.input_weights", f"{source}.weight_ih"
        yield f"{name}.recurrent_weights", f"{source}.weight_hh"
        if layer.projection is not None:
            yield f"{name}.projection.weights", f"{source}.weight_projection"
