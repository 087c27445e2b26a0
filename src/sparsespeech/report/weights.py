"""Weight matrices as the pictures of a report see them, whatever file they come from.

Axes: R rows, C columns, H cells of one direction, n nonzeros. Rows of an LSTM's input and
recurrent matrices are its gates i, f, g, o, H rows each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Graph
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.statistics import ModelStatistics, layer_matrices

GATES = ("i", "f", "g", "o")


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """Compressed sparse rows [R, C] of integers or floats; absent weights are pruned ones.

    ``scales`` are the smallest and the largest scale of the rows, which turn values into real
    weights: 1.0 for floats, None where the file does not say.
    """

    name: str
    shape: tuple[int, int]
    row_start: NDArray[np.int64]  # int64[R + 1]
    column: NDArray[np.int32]  # int32[n]
    value: NDArray[np.integer] | NDArray[np.floating]  # [n], never 0
    scales: tuple[float, float] | None

    @property
    def scale(self) -> float | None:
        """The scale of all rows; None where it is unknown or differs."""
        return self.scales[0] if self.scales and self.scales[0] == self.scales[1] else None

    @property
    def gates(self) -> tuple[str, ...]:
        """Gates in row order; none for a matrix that is not an LSTM's input or recurrent one."""
        is_gated = self.name.endswith((".input_weights", ".recurrent_weights"))
        return GATES if is_gated else ()

    @property
    def entries(self) -> int:
        """Weights of the dense matrix."""
        return self.shape[0] * self.shape[1]

    @property
    def nonzeros(self) -> int:
        """Weights that are left."""
        return int(self.value.size)

    @property
    def sparsity(self) -> float:
        """Share of absent weights, 0 to 1."""
        return 1.0 - self.nonzeros / self.entries

    @property
    def is_integer(self) -> bool:
        """True for the integers of a model file."""
        return bool(np.issubdtype(self.value.dtype, np.integer))

    @property
    def row_nonzeros(self) -> NDArray[np.int64]:
        """Weights left in each row, int64[R]."""
        return np.diff(self.row_start)

    @property
    def column_nonzeros(self) -> NDArray[np.int64]:
        """Weights left in each column, int64[C]."""
        return np.bincount(self.column, minlength=self.shape[1])

    def rows(self) -> NDArray[np.int64]:
        """The row of each nonzero, int64[n]."""
        return np.repeat(np.arange(self.shape[0]), self.row_nonzeros)

    def gate_sparsity(self) -> tuple[float, ...]:
        """Share of absent weights in each gate; empty for a matrix without gates."""
        if not self.gates:
            return ()
        counts = self.row_nonzeros.reshape(len(self.gates), -1).sum(axis=1)
        return tuple(1.0 - int(count) * len(self.gates) / self.entries for count in counts)


class WeightSource(Protocol):
    """Something that holds the weight matrices of a network under the names of model files."""

    @property
    def graph(self) -> Graph:
        """The layers."""
        ...

    def matrices(self) -> Iterator[WeightMatrix]:
        """All matrices in graph order, read one at a time."""
        ...


@dataclass(frozen=True, eq=False)
class ModelWeights:
    """The matrices of a model file; ``statistics`` (of the same model) know their scales."""

    model: IntegerModel
    statistics: ModelStatistics

    @property
    def graph(self) -> Graph:
        """The layers."""
        return self.model.graph

    def matrices(self) -> Iterator[WeightMatrix]:
        """All matrices in graph order."""
        scales = {
            matrix.name: matrix.weight_scales
            for layer in self.statistics.layers
            for matrix in layer.matrices
        }
        for layer in self.model.layers:
            for name, matrix in layer_matrices(layer):
                yield WeightMatrix(
                    name, matrix.shape, matrix.row_start, matrix.column, matrix.value, scales[name]
                )


def compress(name: str, dense: NDArray[np.floating]) -> WeightMatrix:
    """The nonzeros of float weights [R, C]."""
    rows, columns = np.nonzero(dense)
    starts = np.searchsorted(rows, np.arange(dense.shape[0] + 1)).astype(np.int64)
    shape = (dense.shape[0], dense.shape[1])
    return WeightMatrix(
        name, shape, starts, columns.astype(np.int32), dense[rows, columns], scales=(1.0, 1.0)
    )
