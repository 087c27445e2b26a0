"""Builders of small integer layers for vectors: random within the proofs of R3 to R5.

Axes: R rows, C columns, H cells, P projected outputs. ``density`` is the share of weights kept.
Rescaling is chosen so that outputs spread over their range without saturating everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Conv2d, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.fixed_point import choose_multiplier
from sparsespeech.integer_arithmetic.lstm import output_zero_point
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.model_file.model import (
    ConvolutionLayer,
    LinearLayer,
    LstmDirection,
    LstmLayer,
    LstmPeephole,
    LstmProjection,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)


def sparse_matrix(dense: NDArray[np.int64], *, wide: bool = False) -> SparseMatrix:
    """The nonzeros of ``dense`` [R, C] in compressed rows; int8 values, int16 if ``wide``."""
    counts = (dense != 0).sum(axis=1)
    return SparseMatrix(
        shape=(dense.shape[0], dense.shape[1]),
        row_start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        column=np.nonzero(dense)[1].astype(np.int32),
        value=dense[dense != 0].astype(np.int16 if wide else np.int8),
    )


def requantizer(ratios: list[float]) -> Requantizer:
    """R13 for one ratio, or one a row."""
    pairs = [choose_multiplier(ratio) for ratio in ratios]
    return Requantizer(np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs]))


def identity_output(width: int, *, wide: bool = False) -> tuple[Output, OutputLayer]:
    """R9 with the identity as weights: the logits are the activations of the layer before."""
    weights = sparse_matrix(np.eye(width, dtype=np.int64), wide=wide)
    layer = OutputLayer("output", weights, np.zeros(width, np.int64), np.ones(1, np.float32))
    return Output("output", width, width), layer


@dataclass(frozen=True)
class LayerBuilder:
    """Makes layers from one stream of integers; ``per_row`` gives each row its own scale (R1)."""

    random: SeededIntegers
    density: float = 0.3
    wide: bool = False
    per_row: bool = False

    def weights(self, rows: int, columns: int) -> NDArray[np.int64]:
        """Dense integers [R, C] with zeros; the first rows hold 0, 1 and all possible nonzeros."""
        limit = 2047 if self.wide else 127
        values: NDArray[np.int64] = self.random.integers(1, limit, (rows, columns))
        values *= 2 * self.random.integers(0, 1, (rows, columns)) - 1
        keep = self.random.integers(0, 999, (rows, columns)) < round(1000 * self.density)
        if rows >= 8:
            keep[0], keep[1], keep[2] = False, np.arange(columns) == columns // 2, True
        values[~keep] = 0
        return values

    def bias(self, dense: NDArray[np.int64], zero_point: int) -> NDArray[np.int64]:
        """R3: random steps minus the folded zero point."""
        largest = 2**22 if self.wide else 4000
        bias = self.random.integers(-largest, largest, (dense.shape[0],))
        bias -= zero_point * dense.sum(axis=1)
        return bias

    def rescaling(self, dense: NDArray[np.int64], spread: float) -> Requantizer:
        """A multiplier that turns typical accumulators of ``dense`` into about +-``spread``."""
        activation = 8000.0 if self.wide else 60.0
        typical = math.sqrt(float((dense**2).sum()) / dense.shape[0]) * activation + 1.0
        rows = dense.shape[0] if self.per_row else 1
        factors = self.random.integers(50, 200, (rows,)) / 100.0
        return requantizer([spread / typical * float(factor) for factor in factors])

    def linear(
        self, name: str, inputs: int, outputs: int, input_zero_point: int, zero_point: int = 0
    ) -> tuple[Linear, LinearLayer]:
        """R3 and R4 with a ReLU clipped below the top of the range."""
        dense = self.weights(outputs, inputs)
        layer = LinearLayer(
            name=name,
            weights=sparse_matrix(dense, wide=self.wide),
            bias=self.bias(dense, input_zero_point),
            requantize=self.rescaling(dense, 9000.0 if self.wide else 90.0),
            output_zero_point=zero_point,
            low=zero_point,
            high=30000 if self.wide else min(255, zero_point + 230),
        )
        return Linear(name, inputs, outputs), layer

    def convolution(
        self, geometry: Conv2d, input_zero_point: int, zero_point: int = 0
    ) -> tuple[Conv2d, ConvolutionLayer]:
        """R11 for ``geometry``."""
        columns = geometry.input_channels * geometry.kernel[0] * geometry.kernel[1]
        dense = self.weights(geometry.output_channels, columns)
        layer = ConvolutionLayer(
            name=geometry.name,
            weights=sparse_matrix(dense, wide=self.wide),
            bias=self.bias(dense, input_zero_point),
            requantize=self.rescaling(dense, 9000.0 if self.wide else 90.0),
            input_zero_point=input_zero_point,
            output_zero_point=zero_point,
            low=zero_point,
            high=30000 if self.wide else 250,
        )
        return geometry, layer

    def lstm(self, entry: Lstm, input_zero_point: int) -> tuple[Lstm, LstmLayer]:
        """R5 to R8 for ``entry``; both directions share the projection's scale (R2)."""
        zero_point = 0 if self.wide else 93
        forward = self._direction(entry, input_zero_point, zero_point)
        backward = (
            self._direction(entry, input_zero_point, zero_point) if entry.bidirectional else None
        )
        return entry, LstmLayer(entry.name, forward, backward, entry.merge)

    def output(self, inputs: int, labels: int, input_zero_point: int) -> tuple[Output, OutputLayer]:
        """R9."""
        dense = self.weights(labels, inputs)
        scale = np.full(labels if self.per_row else 1, 0.001, np.float32)
        bias = self.bias(dense, input_zero_point)
        layer = OutputLayer("output", sparse_matrix(dense, wide=self.wide), bias, scale)
        return Output("output", inputs, labels), layer

    def _direction(
        self, entry: Lstm, input_zero_point: int, projected_zero_point: int
    ) -> LstmDirection:
        rows = 4 * entry.cells
        dense_input = self.weights(rows, entry.inputs)
        dense_recurrent = self.weights(rows, entry.recurrent_inputs)
        projection = self._projection(entry, projected_zero_point)
        draft = LstmDirection(
            input_weights=sparse_matrix(dense_input, wide=self.wide),
            recurrent_weights=sparse_matrix(dense_recurrent, wide=self.wide),
            input_bias=self.bias(dense_input, input_zero_point),
            recurrent_bias=np.zeros(rows, np.int64),
            input_requantize=self.rescaling(dense_input, 5000.0),
            recurrent_requantize=self.rescaling(dense_recurrent, 5000.0),
            peephole=self._peephole(entry),
            projection=projection,
        )
        draft.recurrent_bias[:] = -output_zero_point(draft, wide=self.wide) * dense_recurrent.sum(
            axis=1
        )
        return draft

    def _projection(self, entry: Lstm, zero_point: int) -> LstmProjection | None:
        if entry.projection is None:
            return None
        dense = self.weights(entry.projection, entry.cells)
        return LstmProjection(
            weights=sparse_matrix(dense, wide=self.wide),
            bias=self.bias(dense, 0 if self.wide else 128),
            requantize=self.rescaling(dense, 12000.0 if self.wide else 90.0),
            output_zero_point=zero_point,
        )

    def _peephole(self, entry: Lstm) -> LstmPeephole | None:
        if not entry.peephole:
            return None
        weights = self.random.integers(-32767, 32767, (3, entry.cells)).astype(np.int16)
        return LstmPeephole(weights, requantizer([0.9 / 32767]))
