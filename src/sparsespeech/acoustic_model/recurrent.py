"""Our own LSTM: saturating cell, per-utterance lengths, both directions in one loop.

Axes: T time steps, B utterances, I inputs, H cells of one direction, D directions (1 or 2).
Gate order i, f, g, o.

``torch.nn.LSTM`` cannot saturate its cell, and its fast kernels cannot see utterance lengths.
Here the input products of all steps are one GEMM and so are the weight gradients; only the
recurrent product stays in the loop. The backward direction reads the padded batch from its last
column and keeps h and c at zero until an utterance's last real frame, which is the reversal
inside each length without moving data.

tanh(x) is computed as 2 sigmoid(2x) - 1: sigmoid is vectorised on CPUs where tanh is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sparsespeech.graph import CELL_LIMIT, Lstm


class LstmDirection(nn.Module):
    """Parameters of one direction: weight_ih [4H, I], weight_hh [4H, H], two biases [4H]."""

    def __init__(self, inputs: int, cells: int) -> None:
        """Glorot-uniform input weights, orthogonal recurrent ones, forget bias 1."""
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * cells, inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * cells, cells))
        self.bias_ih = nn.Parameter(torch.zeros(4 * cells))
        self.bias_hh = nn.Parameter(torch.zeros(4 * cells))
        for gate in range(4):
            rows = slice(gate * cells, (gate + 1) * cells)
            nn.init.xavier_uniform_(self.weight_ih.data[rows])
            nn.init.orthogonal_(self.weight_hh.data[rows])
        self.bias_ih.data[cells : 2 * cells] = 1.0


class SaturatingLstm(nn.Module):
    """LSTM layer of a graph; its cell state saturates at +-16 (design: every model does)."""

    def __init__(self, layer: Lstm) -> None:
        """Raise ValueError for projections, peepholes and summed directions."""
        super().__init__()
        if layer.projection or layer.peephole or layer.merge != "concatenate":
            raise ValueError(
                f"layer {layer.name}: training knows no projection, peephole or "
                f"summed directions yet, got {layer}"
            )
        count = 2 if layer.bidirectional else 1
        self.directions = nn.ModuleList(
            LstmDirection(layer.inputs, layer.cells) for _ in range(count)
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[T, B, D * H] of x [T, B, I]; zero beyond ``lengths`` (int64[B])."""
        directions = [d for d in self.directions if isinstance(d, LstmDirection)]
        function: Callable[..., Tensor] = _SaturatingLstmFunction.apply
        return function(
            x,
            lengths,
            torch.stack([d.weight_ih for d in directions]),
            torch.stack([d.weight_hh for d in directions]),
            torch.stack([d.bias_ih + d.bias_hh for d in directions]),
            _matrix_dtype(x),
        )


def _matrix_dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32


def _step_masks(lengths: Tensor, steps: int, directions: int) -> list[Tensor | None]:
    """Per step float[D, B, 1] of real frames, or None where no utterance is padded."""
    time = torch.arange(steps, device=lengths.device)[:, None]
    valid = [(time < lengths).float(), (time.flip(0) < lengths).float()][:directions]
    masks = torch.stack(valid, dim=1).unsqueeze(-1)  # [T, D, B, 1]
    full = masks.flatten(1).all(dim=1).tolist()
    return [None if every else mask for every, mask in zip(full, masks, strict=True)]


class _SaturatingLstmFunction(torch.autograd.Function):
    """Forward and backward of all directions; pointwise work in float32, products in ``dtype``."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lengths: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        dtype: torch.dtype,
    ) -> Tensor:
        steps, batch, inputs = x.shape
        count, rows, cells = weight_hh.shape
        x = x.to(dtype)
        flipped = torch.stack([x, x.flip(0)][:count]).view(count, steps * batch, inputs)
        # The sigmoid of the doubled g gate gives its tanh; doubling is exact.
        doubled = torch.ones(4, 1, device=x.device)
        doubled[2] = 2.0
        scale = doubled.expand(4, cells).reshape(rows)
        input_part = torch.bmm(flipped, (weight_ih * scale[:, None]).to(dtype).transpose(1, 2))
        gates = input_part.view(count, steps, batch, rows).transpose(0, 1).float()
        gates = gates.add_((bias * scale)[:, None, :]).contiguous()  # [T, D, B, 4H]
        recurrent = (weight_hh * scale[:, None]).to(dtype).transpose(1, 2).contiguous()
        shape = (steps, count, batch, cells)
        cell, squashed = (
            x.new_empty(shape, dtype=torch.float32),
            x.new_empty(shape, dtype=torch.float32),
        )
        hidden = x.new_zeros((steps + 1, count, batch, cells), dtype=dtype)
        previous = torch.zeros(shape[1:], device=x.device)
        masks = _step_masks(lengths, steps, count)
        parts = gates.view(steps, count, batch, 4, cells)
        for step in range(steps):
            gates[step].add_(torch.bmm(hidden[step], recurrent)).sigmoid_()
            i, f, g, o = parts[step].unbind(dim=2)
            g.mul_(2).sub_(1)
            c, tanh_c, h = cell[step], squashed[step], hidden[step + 1]
            torch.mul(f, previous, out=c)
            c.addcmul_(i, g).clamp_(-CELL_LIMIT, CELL_LIMIT)
            mask = masks[step]
            if mask is not None:
                c.mul_(mask)
            torch.mul(c, 2, out=tanh_c)
            tanh_c.sigmoid_().mul_(2).sub_(1)
            # A masked cell is zero, so tanh(c) and with it h are zero too.
            h.copy_(o * tanh_c)
            previous = c
        ctx.save_for_backward(flipped, weight_ih, weight_hh, gates, cell, squashed, hidden)
        ctx.masks, ctx.dtype = masks, dtype
        output = hidden[1:]
        both = [output[:, 0], output[:, 1].flip(0)] if count == 2 else [output[:, 0]]
        return torch.cat(both, dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flipped, weight_ih, weight_hh, gates, cell, squashed, hidden = ctx.saved_tensors
        dtype: torch.dtype = ctx.dtype
        steps, count, batch, cells = cell.shape
        grad = gradients[0].float().view(steps, batch, count, cells)
        both = [grad[:, :, 0], grad[:, :, 1].flip(0)] if count == 2 else [grad[:, :, 0]]
        grad_gates = _gate_gradients(
            torch.stack(both, dim=1), weight_hh.to(dtype), gates, cell, squashed, ctx.masks
        )
        flat = grad_gates.transpose(0, 1).reshape(count, steps * batch, 4 * cells)
        before = hidden[:-1].transpose(0, 1).reshape(count, steps * batch, cells)
        transposed = flat.transpose(1, 2)
        grad_weight_ih = torch.bmm(transposed, flipped).float()
        grad_weight_hh = torch.bmm(transposed, before).float()
        grad_bias = flat.float().sum(dim=1)
        grad_x: Tensor | None = None
        if ctx.needs_input_grad[0]:
            parts = torch.bmm(flat, weight_ih.to(dtype)).view(count, steps, batch, -1)
            grad_x = parts[0] + parts[1].flip(0) if count == 2 else parts[0]
        return grad_x, None, grad_weight_ih, grad_weight_hh, grad_bias, None


def _gate_gradients(
    grad_hidden: Tensor,
    weight_hh: Tensor,
    gates: Tensor,
    cell: Tensor,
    squashed: Tensor,
    masks: list[Tensor | None],
) -> Tensor:
    """Gradients of the gate pre-activations [T, D, B, 4H] in the dtype of ``weight_hh``.

    Everything that does not depend on later steps is computed for all steps at once; the loop
    holds one product and five pointwise operations.
    """
    steps, count, batch, cells = cell.shape
    i, f, g, o = gates.view(steps, count, batch, 4, cells).unbind(dim=3)
    earlier = torch.cat((torch.zeros_like(cell[:1]), cell[:-1]))
    slopes = torch.stack(
        (g * i * (1 - i), earlier * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)), dim=3
    )  # [T, D, B, 4, H]
    through_cell = o * (1 - squashed * squashed)
    saturated = cell.abs() >= CELL_LIMIT
    open_cell = (~saturated).float() if bool(saturated.any()) else None
    result = torch.empty(gates.shape, dtype=weight_hh.dtype, device=cell.device)
    parts = result.view(steps, count, batch, 4, cells)
    carried = torch.zeros_like(cell[0])
    recurrent = torch.zeros_like(cell[0], dtype=weight_hh.dtype)
    for step in range(steps - 1, -1, -1):
        grad_h = grad_hidden[step].add_(recurrent)
        grad_c = carried.addcmul_(grad_h, through_cell[step])
        if open_cell is not None:
            grad_c.mul_(open_cell[step])
        mask = masks[step]
        if mask is not None:
            grad_c.mul_(mask)
        parts[step, :, :, :3] = grad_c.unsqueeze(2) * slopes[step, :, :, :3]
        parts[step, :, :, 3] = grad_h * slopes[step, :, :, 3]
        recurrent = torch.bmm(result[step], weight_hh)
        carried = grad_c.mul_(f[step])
    return result
