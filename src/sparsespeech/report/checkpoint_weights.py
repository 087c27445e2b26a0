"""Weights of a training checkpoint, read without torch.

Axes: O outputs, I inputs. The folder is described in ``training/checkpoint.py``; the weights
shown are the averaged ones, which evaluation and conversion use. Matrices get the names that
they have in a model file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sparsespeech.errors import CheckpointError
from sparsespeech.graph import Graph, Layer, Lstm
from sparsespeech.model_file.tensors import DIRECTIONS
from sparsespeech.report.weights import WeightMatrix, compress
from sparsespeech.training.checkpoint_state import (
    STATE_NAME,
    CheckpointState,
    file_digest,
    find_checkpoint,
    read_checkpoint_state,
)
from sparsespeech.training.packed_reader import PackedTensors, is_packed, open_packed
from sparsespeech.training.parameter_shapes import Shape, check_shapes, parameter_shapes

_TENSORS = "model.safetensors"
_GROUP = "average."


@dataclass(frozen=True, eq=False)
class CheckpointWeights:
    """The averaged weights of one checkpoint folder, proved to fit its graph."""

    state: CheckpointState
    packed: PackedTensors | None  # None: the tensors are in one file of safetensors

    @property
    def folder(self) -> Path:
        """The checkpoint's folder."""
        return self.state.folder

    @property
    def step(self) -> int:
        """Steps trained."""
        return self.state.step

    @property
    def graph(self) -> Graph:
        """The layers."""
        return self.state.graph

    @property
    def features(self) -> dict[str, Any]:
        """Constants of the front end as they are stored."""
        return self.state.features.to_json()

    @property
    def facts(self) -> dict[str, Any]:
        """Recipe and training progress."""
        return self.state.facts

    def matrices(self) -> Iterator[WeightMatrix]:
        """All weight matrices in graph order; raises CheckpointError."""
        if self.packed is not None:
            for name, source in matrix_names(self.graph):
                yield self._matrix(name, self.packed.dense(f"{_GROUP}{source}"))
            return
        path = self.folder / _TENSORS
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name, source in matrix_names(self.graph):
                    yield self._matrix(name, tensors.get_tensor(f"{_GROUP}{source}"))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: cannot read the weights: {error}") from None

    def _matrix(self, name: str, dense: NDArray[np.floating]) -> WeightMatrix:
        if dense.dtype != np.float32 or not np.isfinite(dense).all():
            raise CheckpointError(
                f"{self.folder}: {name} must hold finite numbers of float32; "
                f"use an earlier checkpoint"
            )
        return compress(name, dense)


def read_checkpoint_weights(path: Path) -> CheckpointWeights:
    """The checkpoint at ``path``, or the newest one of a run folder; raises CheckpointError.

    The SHA-256 of the tensors must be that of ``state.json``, and their shapes those of the graph.
    """
    state = read_checkpoint_state(find_checkpoint(path))
    expected = parameter_shapes(state.graph)
    packed = open_packed(state.folder, expected) if is_packed(state.folder) else None
    found = _stored_shapes(state) if packed is None else packed.shapes
    average = {
        name.removeprefix(_GROUP): shape for name, shape in found.items() if name.startswith(_GROUP)
    }
    check_shapes(str(state.folder), average, expected)
    return CheckpointWeights(state, packed)


def _stored_shapes(state: CheckpointState) -> dict[str, Shape]:
    """Shapes of the float32 tensors in ``model.safetensors``, which must have its digest."""
    path = state.folder / _TENSORS
    try:
        if file_digest(path) != state.digests.get(_TENSORS):
            raise CheckpointError(
                f"{path}: SHA-256 differs from {STATE_NAME}, the file is damaged; "
                f"use an earlier checkpoint"
            )
        with safe_open(path, framework="numpy") as tensors:
            slices = {name: tensors.get_slice(name) for name in tensors.keys()}
            return {
                name: tuple(part.get_shape())
                for name, part in slices.items()
                if part.get_dtype() == "F32"
            }
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: cannot read the weights: {error}") from None


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
