"""Our own LSTM: saturating cell, per-utterance lengths, projections, peepholes, both directions.

Axes: T time steps, B utterances, I inputs, H cells of one direction, P fed-back outputs of one
direction (H without projection), D directions (1 or 2). Gate order i, f, g, o.

``torch.nn.LSTM`` cannot saturate its cell and has no peepholes, its fast kernels cannot see
utterance lengths, and with a projection it has no fast kernel on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.lstm_function import saturating_lstm
from sparsespeech.acoustic_model.native_lstm import Direction, native_lstm, native_lstm_serves
from sparsespeech.acoustic_model.sparse_product import SparsePattern
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.graph import Lstm

_OUTPUT_GRID = Grid(1 / 127, -128, 127)  # R2: the output of an LSTM without projection


class LstmDirection(nn.Module):
    """Parameters of one direction: weight_ih [4H, I], weight_hh [4H, P], two biases [4H].

    Where the layer has them also ``weight_projection`` [P, H] and ``peephole`` [3, H], whose rows
    are the diagonals of i, f and o; otherwise these are None.
    """

    def __init__(
        self, inputs: int, cells: int, projection: int | None = None, *, peephole: bool = False
    ) -> None:
        """Glorot-uniform input weights, orthogonal recurrent ones, forget bias 1, peepholes 0."""
        super().__init__()
        outputs = projection or cells
        self.weight_ih = nn.Parameter(torch.empty(4 * cells, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * cells, outputs))
        self.bias_ih = nn.Parameter(torch.zeros(4 * cells))
        self.bias_hh = nn.Parameter(torch.zeros(4 * cells))
        self.weight_projection = nn.Parameter(torch.empty(outputs, cells)) if projection else None
        self.peephole = nn.Parameter(torch.zeros(3, cells)) if peephole else None
        for gate in range(4):
            rows = slice(gate * cells, (gate + 1) * cells)
            nn.init.xavier_uniform_(self.weight_ih.data[rows])
            nn.init.orthogonal_(self.weight_hh.data[rows])
        if self.weight_projection is not None:
            nn.init.xavier_uniform_(self.weight_projection.data)
        self.bias_ih.data[cells : 2 * cells] = 1.0


class SaturatingLstm(nn.Module):
    """LSTM layer of a graph; its cell state saturates at +-16 (design: every model does).

    ``rounding`` holds the step sizes of fixed-point retraining inside the loop, or None.
    """

    rounding: StepRounding | None

    def __init__(self, layer: Lstm) -> None:
        """The parameters of one or two directions, as ``layer`` says."""
        super().__init__()
        self.layer = layer
        self.rounding = None
        # Patterns of pruned matrices by parameter name, such as directions.0.weight_ih.
        self.patterns: dict[str, SparsePattern] = {}
        self.directions = nn.ModuleList(
            LstmDirection(layer.inputs, layer.cells, layer.projection, peephole=layer.peephole)
            for _ in range(2 if layer.bidirectional else 1)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[T, B, D * P] of x [T, B, I]; [T, B, P] if directions are summed.

        Zero beyond ``lengths`` (int64[B]).
        """
        return self._merged(self._both_directions(x, lengths))

    def _both_directions(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[T, B, D * P], forward first. The one place where the implementation is chosen."""
        directions = [d for d in self.directions if isinstance(d, LstmDirection)]
        if not self.layer.projection and not self.layer.peephole:
            native = [self._native(number, d) for number, d in enumerate(directions)]
            if native_lstm_serves(x, native, self.rounding):
                return native_lstm(x, lengths, native, self.rounding)
        return saturating_lstm(
            x,
            lengths,
            torch.stack([d.weight_ih for d in directions]),
            torch.stack([d.weight_hh for d in directions]),
            torch.stack([d.bias_ih + d.bias_hh for d in directions]),
            projection=_stacked([d.weight_projection for d in directions]),
            peephole=_stacked([d.peephole for d in directions]),
            rounding=self.rounding,
        )

    def _native(self, number: int, direction: LstmDirection) -> Direction:
        return Direction(
            direction.weight_ih,
            direction.weight_hh,
            direction.bias_ih + direction.bias_hh,
            self.patterns.get(f"directions.{number}.weight_ih"),
            self.patterns.get(f"directions.{number}.weight_hh"),
        )

    def _merged(self, both: Tensor) -> Tensor:
        """R11: a sum of directions saturates at the range of one of them.

        A projected output has no range before its grid is calibrated: until then it does not
        saturate.
        """
        if self.layer.merge == "concatenate" or not self.layer.bidirectional:
            return both
        forward, backward = both.chunk(2, dim=-1)
        total = forward + backward
        grid = self._output_grid()
        return total if grid is None else total.clamp(grid.low * grid.step, grid.high * grid.step)

    def _output_grid(self) -> Grid | None:
        rounding = self.rounding or StepRounding()
        if self.layer.projection:
            return rounding.projected
        return rounding.hidden_grid or _OUTPUT_GRID


def _stacked(parameters: list[nn.Parameter | None]) -> Tensor | None:
    present: list[Tensor] = [parameter for parameter in parameters if parameter is not None]
    return torch.stack(present) if present else None
