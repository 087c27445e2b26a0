"""What a model holds, in numbers: parameters, nonzeros, bytes and the load of row banks.

Axes: R rows, C columns, H cells of one direction, P projected outputs.

Parameters count the dense network as it was trained, as in Table I of the MAU paper: weights,
one bias vector a fully connected layer or convolution, two bias vectors an LSTM direction,
peephole weights, and no bias for a projection. ``hidden=2048`` gives 122.75 M.

Sparsity is the share of absent entries in all weight matrices together; biases and peephole
vectors are no matrix entries and do not count. Nonzeros are the stored matrix entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsespeech.graph import Conv2d, Graph, Layer, Lstm
from sparsespeech.model_file.model import IntegerLayer, IntegerModel, LstmLayer, SparseMatrix
from sparsespeech.model_file.tensors import DIRECTIONS, model_tensors
from sparsespeech.model_file.writer import encode_model

BANK_COLUMNS = 1024  # activations that one core of the MAU paper holds
BANK_ROW_LIMIT = 64  # nonzeros of a row that one core takes from a bank in a step
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class BankOccupancy:
    """Nonzeros of one row in one bank of 1024 columns, over all rows and banks of a matrix."""

    largest: int
    mean: float
    above_limit: int  # row and bank pairs with more than 64


@dataclass(frozen=True)
class MatrixStatistics:
    """One weight matrix.

    ``weight_scales`` are the smallest and the largest scale of its rows, for information only;
    None where the file does not say.
    """

    name: str
    shape: tuple[int, int]
    nonzeros: int
    banks: BankOccupancy
    weight_scales: tuple[float, float] | None

    @property
    def sparsity(self) -> float:
        """Share of absent entries, 0 to 1."""
        return 1.0 - self.nonzeros / (self.shape[0] * self.shape[1])


@dataclass(frozen=True)
class LayerStatistics:
    """One layer; ``bytes_stored`` is the length of its tensors in the file."""

    name: str
    kind: str
    parameters: int
    matrices: tuple[MatrixStatistics, ...]
    bytes_stored: int

    @property
    def nonzeros(self) -> int:
        """Stored weights of all matrices."""
        return sum(matrix.nonzeros for matrix in self.matrices)

    @property
    def sparsity(self) -> float:
        """Share of absent entries in the layer's matrices, 0 to 1."""
        return _sparsity(self.matrices)

    @property
    def bytes_dense_float32(self) -> int:
        """Bytes of the dense float network."""
        return _FLOAT32_BYTES * self.parameters


@dataclass(frozen=True)
class ModelStatistics:
    """Totals of a model; ``bytes_stored`` is the length of the whole file, header included."""

    layers: tuple[LayerStatistics, ...]
    bytes_stored: int

    @property
    def parameters(self) -> int:
        """Parameters of the dense network."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        """Stored weights of all matrices."""
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """Share of absent entries in all weight matrices, 0 to 1."""
        return _sparsity(tuple(matrix for layer in self.layers for matrix in layer.matrices))

    @property
    def bytes_dense_float32(self) -> int:
        """Bytes of the dense float network."""
        return _FLOAT32_BYTES * self.parameters


def model_statistics(model: IntegerModel) -> ModelStatistics:
    """Count everything in a valid ``model``; the file's length comes from encoding it again."""
    stored = {name: tensor.nbytes for name, tensor in model_tensors(model).items()}
    layers = []
    for described, layer in zip(model.graph.layers, model.layers, strict=True):
        matrices = tuple(
            _matrix_statistics(name, matrix, model.quantization or {})
            for name, matrix in layer_matrices(layer)
        )
        layers.append(
            LayerStatistics(
                name=layer.name,
                kind=type(described).__name__.lower(),
                parameters=count_parameters(described),
                matrices=matrices,
                bytes_stored=sum(
                    size for name, size in stored.items() if name.startswith(f"{layer.name}.")
                ),
            )
        )
    return ModelStatistics(tuple(layers), len(encode_model(model)))


def count_parameters(described: Layer | Graph) -> int:
    """Parameters of one layer, or of a whole graph, as trained (see the module's docstring)."""
    if isinstance(described, Graph):
        return sum(count_parameters(layer) for layer in described.layers)
    if isinstance(described, Conv2d):
        patch = described.input_channels * described.kernel[0] * described.kernel[1]
        return described.output_channels * (patch + 1)
    if not isinstance(described, Lstm):
        return described.outputs * (described.inputs + 1)
    cells = described.cells
    direction = 4 * cells * (described.inputs + described.recurrent_inputs + 2)
    if described.peephole:
        direction += 3 * cells
    if described.projection is not None:
        direction += described.projection * cells
    return direction * (2 if described.bidirectional else 1)


def layer_matrices(layer: IntegerLayer) -> Iterator[tuple[str, SparseMatrix]]:
    """Weight matrices of a layer with their tensor names, as ``layer4.forward.input_weights``."""
    if not isinstance(layer, LstmLayer):
        yield f"{layer.name}.weights", layer.weights
        return
    for word, direction in zip(DIRECTIONS, (layer.forward, layer.backward), strict=True):
        if direction is None:
            continue
        yield f"{layer.name}.{word}.input_weights", direction.input_weights
        yield f"{layer.name}.{word}.recurrent_weights", direction.recurrent_weights
        if direction.projection is not None:
            yield f"{layer.name}.{word}.projection.weights", direction.projection.weights


def bank_occupancy(matrix: SparseMatrix) -> BankOccupancy:
    """Nonzeros of each row within each bank of 1024 columns; the last bank may be narrower."""
    rows, columns = matrix.shape
    banks = -(-columns // BANK_COLUMNS)
    row = np.repeat(np.arange(rows), np.diff(matrix.row_start))
    counts = np.bincount(row * banks + matrix.column // BANK_COLUMNS, minlength=rows * banks)
    return BankOccupancy(
        int(counts.max()), float(counts.mean()), int((counts > BANK_ROW_LIMIT).sum())
    )


def _matrix_statistics(name: str, matrix: SparseMatrix, facts: dict[str, Any]) -> MatrixStatistics:
    scales = weight_scales(name, facts)
    return MatrixStatistics(name, matrix.shape, matrix.nonzeros, bank_occupancy(matrix), scales)


def weight_scales(name: str, facts: dict[str, Any]) -> tuple[float, float] | None:
    """From the free facts of the quantization, which may hold anything or nothing."""
    for key in ("weight_scales", "weight_scale_ranges"):
        entries = facts.get(key)
        value = entries.get(name) if isinstance(entries, dict) else None
        match value if isinstance(value, list) else [value, value]:
            case [float(smallest), float(largest)]:
                return smallest, largest
    return None


def _sparsity(matrices: tuple[MatrixStatistics, ...]) -> float:
    entries = sum(matrix.shape[0] * matrix.shape[1] for matrix in matrices)
    return 1.0 - sum(matrix.nonzeros for matrix in matrices) / entries
