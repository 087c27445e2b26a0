"""One LSTM layer of the integer model in torch (rules R5 to R8, R10 to R12), from float weights.

Axes: T frames, C inputs, H cells, N fed-back outputs of one direction (H, or P with projection).
Gate order i, f, g, o. Tensors are float64 and hold integers, as in ``emulated_arithmetic``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sparsespeech.graph import Lstm
from sparsespeech.integer_arithmetic.fixed_point import ActivationParameters
from sparsespeech.quantization.emulated_arithmetic import (
    Q11,
    Accumulator,
    Rescaler,
    lstm_output,
    lstm_output_parameters,
    next_cell,
    saturate16,
    sigmoid,
    tanh,
)
from sparsespeech.quantization.fake_quantize import weight_integers, weight_scale
from sparsespeech.quantization.precision import Precision

_PEEPHOLE_BITS = 16  # R5: int16 in both modes


class EmulatedDirection:
    """R5 to R8 of one direction."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        prefix: str,
        x: ActivationParameters,
        h: ActivationParameters,
        precision: Precision,
    ) -> None:
        """From float parameters ``PREFIX.weight_ih`` and so on; input ``x``, fed-back ``h``.

        Peephole and projection are there if their parameters are.
        """
        bias = weights[f"{prefix}.bias_ih"].double() + weights[f"{prefix}.bias_hh"].double()
        self._input = Accumulator(weights[f"{prefix}.weight_ih"], bias, x, precision)
        self._recurrent = Accumulator(weights[f"{prefix}.weight_hh"], None, h, precision)
        self._rescale_input = Rescaler(self._input.scale * Q11)
        self._rescale_recurrent = Rescaler(self._recurrent.scale * Q11)
        self._wide, self._rest = precision.wide, float(h.zero_point)
        self._fed_back = weights[f"{prefix}.weight_hh"].shape[1]
        self._peephole: Peephole | None = None
        self._projection: Projection | None = None
        if f"{prefix}.peephole" in weights:
            self._peephole = Peephole(weights[f"{prefix}.peephole"])
        if f"{prefix}.weight_projection" in weights:
            self._projection = Projection(weights[f"{prefix}.weight_projection"], h, precision)

    def input_gates(self, x: Tensor) -> Tensor:
        """R5: xp [T, 4H] of the layer's inputs [T, C]."""
        return saturate16(self._rescale_input(self._input(x)))

    def step(self, xp: Tensor, h: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """New h [N] and cell [H] after one frame with input gates xp [4H]."""
        sums = xp + self._rescale_recurrent(self._recurrent(h))
        sum_i, sum_f, sum_g, sum_o = sums.chunk(4)
        if self._peephole is not None:
            sum_i, sum_f = self._peephole.old(sum_i, sum_f, cell)
        i, f = self._sigmoid(sum_i), self._sigmoid(sum_f)
        cell = next_cell(i, f, tanh(saturate16(sum_g), wide=self._wide), cell)
        if self._peephole is not None:
            sum_o = self._peephole.new(sum_o, cell)
        m = lstm_output(self._sigmoid(sum_o), cell, wide=self._wide)
        return (m if self._projection is None else self._projection(m)), cell

    def run(self, x: Tensor, *, backward: bool) -> Tensor:
        """Outputs h [T, N] of one utterance [T, C], from the rest state of R12."""
        xp = self.input_gates(x)
        h = xp.new_full((self._fed_back,), self._rest)
        cell = xp.new_zeros(xp.shape[1] // 4)
        outputs = xp.new_empty(len(xp), self._fed_back)
        frames = range(len(xp))
        for t in reversed(frames) if backward else frames:
            h, cell = self.step(xp[t], h, cell)
            outputs[t] = h
        return outputs

    def _sigmoid(self, gate_sum: Tensor) -> Tensor:
        return sigmoid(saturate16(gate_sum), wide=self._wide)


class Peephole:
    """R5: ``R4'(w_p * c)`` of the gates i and f with the old cell, of o with the new one."""

    def __init__(self, weights: Tensor) -> None:
        """``weights``: float[3, H] of i, f, o; one scale for all three (R13)."""
        scale = weight_scale(weights, bits=_PEEPHOLE_BITS)
        self._weights = weight_integers(weights, scale, bits=_PEEPHOLE_BITS)
        self._rescale = Rescaler(scale[0])

    def old(self, sum_i: Tensor, sum_f: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Sums [H] of i and f with their terms."""
        return (
            sum_i + self._rescale(self._weights[0] * cell),
            sum_f + self._rescale(self._weights[1] * cell),
        )

    def new(self, sum_o: Tensor, cell: Tensor) -> Tensor:
        """Sum [H] of o with its term."""
        return sum_o + self._rescale(self._weights[2] * cell)


class Projection:
    """R8, last sentence: R3 and R4 from m to the output and fed-back vector."""

    def __init__(self, weights: Tensor, y: ActivationParameters, precision: Precision) -> None:
        """``weights``: float[P, H]; a projection has no bias of its own."""
        m = lstm_output_parameters(wide=precision.wide)
        self._accumulate = Accumulator(weights, None, m, precision)
        self._rescale = Rescaler(self._accumulate.scale / y.scale)
        self._output = y

    def __call__(self, m: Tensor) -> Tensor:
        """[P] of [H]."""
        y = self._rescale(self._accumulate(m)) + self._output.zero_point
        return y.clamp(self._output.minimum, self._output.maximum)


class EmulatedLstm:
    """Both directions, concatenated (R2) or summed (R11)."""

    def __init__(
        self,
        layer: Lstm,
        weights: Mapping[str, Tensor],
        x: ActivationParameters,
        y: ActivationParameters,
        precision: Precision,
    ) -> None:
        """``x``: the layer's input; ``y``: the output of one direction and of the layer."""
        self.output = y
        self._sums = layer.merge == "sum"
        self.directions = [
            EmulatedDirection(weights, f"{layer.name}.directions.{number}", x, y, precision)
            for number in range(2 if layer.bidirectional else 1)
        ]

    def run(self, x: Tensor) -> Tensor:
        """Integers [T, outputs] of one utterance [T, C]."""
        parts = [d.run(x, backward=bool(number)) for number, d in enumerate(self.directions)]
        if len(parts) == 1 or not self._sums:
            return torch.cat(parts, dim=1)
        total = parts[0] + parts[1] - self.output.zero_point
        return total.clamp(self.output.minimum, self.output.maximum)
