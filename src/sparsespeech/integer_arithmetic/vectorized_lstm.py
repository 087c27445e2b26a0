"""Rules R5 to R8, R11 and R12: an LSTM layer, both directions in lockstep; same bits as ``lstm``.

Axes: T frames, D directions (1 or 2), C inputs, H cells, N fed-back outputs of one direction.
Step k handles frame k of the forward and frame T-1-k of the backward direction, with one product
by the block-diagonal matrix of both recurrent matrices. Every function of one int16 (sigmoid,
tanh, requantized output) is a table of all 65,536 results, made by the definition itself and
indexed by the signed number: Python's negative indices count from the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from sparsespeech.integer_arithmetic.fixed_point import (
    rescale,
    saturate16,
)
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable, sigmoid, tanh
from sparsespeech.integer_arithmetic.lstm import (
    LstmState,
    initial_state,
    output_zero_point,
    quantize_output,
)
from sparsespeech.integer_arithmetic.operators import sum_of_directions
from sparsespeech.integer_arithmetic.vectorized_operators import (
    Activations,
    SparseProduct,
    activation_type,
    compressed_rows,
    every_row,
    frame_blocks,
)
from sparsespeech.model_file.model import LstmDirection, LstmLayer, SparseMatrix

Integers = NDArray[np.int64]

ALL_INT16: NDArray[np.int64] = np.concatenate([np.arange(0, 32768), np.arange(-32768, 0)])
"""Every int16 at the place where indexing by it finds it."""


class VectorizedLstm:
    """One LSTM layer, prepared for many utterances."""

    def __init__(self, layer: LstmLayer, table: SigmoidTable, *, wide: bool) -> None:
        """``table``: R6, or its wide form if ``wide`` (R10)."""
        self._directions = [layer.forward] + ([layer.backward] if layer.backward else [])
        self._merge = layer.merge
        self._wide = wide
        self._sigmoid = sigmoid(ALL_INT16, table)
        self._tanh = tanh(ALL_INT16, table)
        self._output = ALL_INT16 if wide else quantize_output(ALL_INT16)
        self._input_products = [
            SparseProduct(d.input_weights, d.input_bias, wide=wide) for d in self._directions
        ]
        self._recurrent = _BlockDiagonal(
            [d.recurrent_weights for d in self._directions],
            [d.recurrent_bias for d in self._directions],
            [every_row(d.recurrent_requantize, 4 * self._cells) for d in self._directions],
            wide=wide,
        )
        self._projection = _projection(self._directions, wide=wide)
        self._peephole = _Peephole(self._directions) if layer.forward.peephole else None

    @property
    def _cells(self) -> int:
        """H."""
        return self._directions[0].recurrent_weights.shape[0] // 4

    def run(self, x: Activations) -> Activations:
        """A whole utterance: activations [T, C] to activations [T, outputs of the layer]."""
        states = [initial_state(direction, wide=self._wide) for direction in self._directions]
        outputs, _ = self.run_from(x, states)
        if len(outputs) == 1:
            return outputs[0]
        if self._merge == "sum":
            forward, backward = (part.astype(np.int64) for part in outputs)
            zero_point = output_zero_point(self._directions[0], wide=self._wide)
            summed = sum_of_directions(forward, backward, zero_point, wide=self._wide)
            return summed.astype(activation_type(wide=self._wide))
        return np.concatenate(outputs, axis=1)

    def run_from(
        self, x: Activations, states: list[LstmState]
    ) -> tuple[list[Activations], list[LstmState]]:
        """Continue each direction from its state (R12 gives the first): outputs and last states.

        Returns one [T, N] a direction, in frame order. A unidirectional layer gives the same
        outputs for an utterance in one piece and in any chunks.
        """
        frames = x.shape[0]
        fed_back = np.concatenate([state.output for state in states])  # [D*N]
        cell = np.stack([state.cell for state in states])  # [D, H]
        kind = activation_type(wide=self._wide)
        outputs = np.empty((frames, fed_back.size), dtype=kind)  # row k is step k
        for block in frame_blocks(frames):
            gates = self._input_parts(x, block)  # [steps, D, 4H]
            for step in range(block.start, block.stop):
                fed_back = self._step(gates[step - block.start], fed_back, cell)
                outputs[step] = fed_back
        parts = np.split(outputs, len(states), axis=1)
        if len(parts) == 2:
            parts[1] = parts[1][::-1]
        last = np.split(fed_back, len(states))
        return parts, [LstmState(h, c) for h, c in zip(last, cell, strict=True)]

    def _input_parts(self, x: Activations, steps: slice) -> Integers:
        """R5: xp of the frames that ``steps`` handle, int64[steps, D, 4H]."""
        frames = x.shape[0]
        pieces = [x[steps]]
        if len(self._directions) == 2:
            pieces.append(x[frames - steps.stop : frames - steps.start][::-1])
        parts = []
        for piece, product, direction in zip(
            pieces, self._input_products, self._directions, strict=True
        ):
            scales = direction.input_requantize
            accumulator = product.accumulate(piece)
            parts.append(saturate16(rescale(accumulator, scales.multiplier, scales.shift)))
        return np.stack(parts, axis=1)

    def _step(self, xp: Integers, fed_back: Integers, cell: Integers) -> Integers:
        """R5 to R8 for one frame of each direction; ``cell`` [D, H] is updated in place."""
        p = self._recurrent.rescaled(fed_back).reshape(len(cell), 4, -1)  # gates i, f, g, o
        p += xp.reshape(p.shape)
        if self._peephole is not None:
            p[:, :2] += self._peephole.of_old_cell(cell)
            np.clip(p[:, :3], -32768, 32767, out=p[:, :3])
        else:
            np.clip(p, -32768, 32767, out=p)
        i, f = self._sigmoid[p[:, 0]], self._sigmoid[p[:, 1]]
        g = self._tanh[p[:, 2]]
        i *= g  # R7: c = saturate16((f*c + ((i*g + 8) >> 4) + 2^14) >> 15)
        i += 8
        i >>= 4
        cell *= f
        cell += i
        cell += 1 << 14
        cell >>= 15
        np.clip(cell, -32768, 32767, out=cell)
        if self._peephole is not None:
            p[:, 3] += self._peephole.of_new_cell(cell)
            np.clip(p[:, 3], -32768, 32767, out=p[:, 3])
        m = self._sigmoid[p[:, 3]]  # R8: m = (o*tanh(c) + 2^14) >> 15
        m *= self._tanh[cell]
        m += 1 << 14
        m >>= 15
        h = self._output[m].reshape(-1)
        return h if self._projection is None else self._projection.requantized(h)


class _BlockDiagonal:
    """R3 and R4' of one matrix a direction, applied to the concatenated vectors."""

    def __init__(
        self,
        weights: list[SparseMatrix],
        biases: list[Integers],
        scales: list[tuple[Integers, Integers]],
        *,
        wide: bool,
    ) -> None:
        blocks = [compressed_rows(matrix, wide=wide) for matrix in weights]
        self._matrix = blocks[0] if len(blocks) == 1 else csr_array(block_diag(blocks, "csr"))
        self._multiplier = np.concatenate([multiplier for multiplier, _ in scales])
        self._shift = np.concatenate([shift for _, shift in scales])
        # (acc + bias)*M + 2^(s-1) = acc*M + offset, all exact below 2^63 by R4's proof
        bias = np.concatenate(biases)
        self._offset = bias * self._multiplier + np.left_shift(np.int64(1), self._shift - 1)

    def rescaled(self, x: Integers) -> Integers:
        """R4' of the accumulators, a new int64[rows of all blocks]."""
        result: Integers = (self._matrix @ x.astype(self._matrix.dtype)).astype(np.int64)
        result *= self._multiplier
        result += self._offset
        result >>= self._shift
        return result


class _Projection(_BlockDiagonal):
    """R8, last sentence: R3 and R4 from m to the projected output of each direction."""

    def __init__(self, directions: list[LstmDirection], *, wide: bool) -> None:
        projections = [d.projection for d in directions if d.projection is not None]
        super().__init__(
            [p.weights for p in projections],
            [p.bias for p in projections],
            [every_row(p.requantize, p.weights.shape[0]) for p in projections],
            wide=wide,
        )
        self._zero_point = projections[0].output_zero_point  # R2: shared by both directions
        self._limits = (-32768, 32767) if wide else (0, 255)

    def requantized(self, h: Integers) -> Integers:
        """R4 of the accumulators: int64[D*H] to int64[D*P]."""
        result = self.rescaled(h)
        result += self._zero_point
        return np.clip(result, *self._limits, out=result)


def _projection(directions: list[LstmDirection], *, wide: bool) -> _Projection | None:
    return _Projection(directions, wide=wide) if directions[0].projection else None


class _Peephole:
    """R5: the peephole terms of all directions, gates i and f, then o."""

    def __init__(self, directions: list[LstmDirection]) -> None:
        peepholes = [d.peephole for d in directions if d.peephole is not None]
        self._weights = np.stack([p.weights for p in peepholes]).astype(np.int64)  # [D, 3, H]
        self._multiplier = np.stack([p.requantize.multiplier for p in peepholes])  # [D, 1]
        self._shift = np.stack([p.requantize.shift for p in peepholes])

    def of_old_cell(self, cell: Integers) -> Integers:
        """Terms of i and f: int64[D, 2, H]."""
        product = self._weights[:, :2] * cell[:, np.newaxis]
        return rescale(product, self._multiplier[:, np.newaxis], self._shift[:, np.newaxis])

    def of_new_cell(self, cell: Integers) -> Integers:
        """Term of o: int64[D, H]."""
        return rescale(self._weights[:, 2] * cell, self._multiplier, self._shift)
