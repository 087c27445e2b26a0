"""The LSTM of training as one differentiable torch function.

Axes: T time steps, B utterances, I inputs, H cells of one direction, P fed-back outputs of one
direction (H without projection), D directions (1 or 2). Gate order i, f, g, o; peepholes in the
order i, f, o.

For each direction and step, with the sigma-shaped gates after their non-linearities:

    p = W_x x + b + W_h h           peephole: + w_i c, + w_f c of the old cell for i and f
    c = clamp(f c + i g, -16, 16)   peephole: + w_o c of the new cell for o
    m = o tanh(c),  h = W_p m       (h = m without projection)

The input products of all steps are one GEMM and so are the gradients of each weight matrix; only
the recurrent product (and the projection) stays in the loop. The backward direction reads the
padded batch from its last column and keeps h and c at zero until an utterance's last real frame,
which is the reversal inside each length without moving data.

tanh(x) is computed as 2 sigmoid(2x) - 1: sigmoid is vectorised on CPUs where tanh is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparsespeech.acoustic_model.lstm_gradients import LstmTrace, gate_gradients
from sparsespeech.acoustic_model.step_rounding import Grid, StepRounding
from sparsespeech.graph import CELL_LIMIT


def saturating_lstm(
    x: Tensor,
    lengths: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor,
    *,
    projection: Tensor | None = None,
    peephole: Tensor | None = None,
    rounding: StepRounding | None = None,
) -> Tensor:
    """[T, B, D * P] of x [T, B, I], forward direction first; zero beyond ``lengths`` (int64[B]).

    ``weight_ih`` [D, 4H, I], ``weight_hh`` [D, 4H, P], ``bias`` [D, 4H], ``projection``
    [D, P, H], ``peephole`` [D, 3, H]. Products run in the dtype of an active autocast, everything
    else in float32; with ``rounding`` everything is float32, because bfloat16 cannot hold the
    values of its grids. Where x is float64 and no autocast is active, everything is float64.
    """
    kind = x.device.type
    pointwise = torch.float64 if x.dtype == torch.float64 else torch.float32
    exact = rounding is not None or not torch.is_autocast_enabled(kind)
    settings = _Settings(
        product=pointwise if exact else torch.get_autocast_dtype(kind),
        pointwise=pointwise,
        rounding=rounding or StepRounding(),
    )
    function: Callable[..., Tensor] = _SaturatingLstmFunction.apply
    return function(x, lengths, weight_ih, weight_hh, bias, projection, peephole, settings)


@dataclass(frozen=True)
class _Settings:
    """Dtype of the factors of products, of everything else, and the rounding."""

    product: torch.dtype
    pointwise: torch.dtype
    rounding: StepRounding


class _SaturatingLstmFunction(torch.autograd.Function):
    """Forward and backward of all directions."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lengths: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        projection: Tensor | None,
        peephole: Tensor | None,
        settings: _Settings,
    ) -> Tensor:
        count = len(weight_hh)
        x = x.to(settings.product)
        flipped = torch.stack([x, x.flip(0)][:count]).flatten(1, 2)  # [D, T * B, I]
        gates = _input_part(flipped, weight_ih, bias, steps=len(x), settings=settings)
        input_grid = settings.rounding.gate_grid
        open_input = None
        if input_grid is not None:
            open_input = _unless_all(input_grid.holds(gates))
            input_grid.round_(gates)
        masks = _step_masks(lengths, len(x), count, settings.pointwise)
        trace = _run(gates, weight_hh, projection, peephole, masks, settings)
        ctx.save_for_backward(
            flipped, weight_ih, weight_hh, projection, peephole, open_input, *trace.tensors()
        )
        ctx.masks, ctx.settings = masks, settings
        output = trace.hidden[1:]
        both = [output[:, 0], output[:, 1].flip(0)] if count == 2 else [output[:, 0]]
        return torch.cat(both, dim=-1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flipped, weight_ih, weight_hh, projection, peephole, open_input, *saved = ctx.saved_tensors
        trace, settings = LstmTrace(*saved), ctx.settings
        product, pointwise = settings.product, settings.pointwise
        steps, count, batch, _ = trace.cell.shape
        grad = gradients[0].to(pointwise).view(steps, batch, count, -1)
        both = [grad[:, :, 0], grad[:, :, 1].flip(0)] if count == 2 else [grad[:, :, 0]]
        # The loop adds what comes back from later steps, so this becomes the gradient of h.
        grad_hidden = torch.stack(both, dim=1)
        grad_gates = gate_gradients(
            trace,
            grad_hidden,
            weight_hh.to(product),
            None if projection is None else projection.to(product),
            peephole,
            ctx.masks,
            settings.rounding.cell_grid,
        )
        grad_projection: Tensor | None = None
        if projection is not None and trace.unprojected is not None:
            outer = _by_direction(grad_hidden.to(product)).transpose(1, 2)
            grad_projection = torch.bmm(outer, _by_direction(trace.unprojected)).to(pointwise)
        grad_peephole: Tensor | None = None
        if peephole is not None:
            grad_peephole = _peephole_gradient(grad_gates.to(pointwise), trace.cell)
        flat = _by_direction(grad_gates)
        grad_weight_hh = torch.bmm(flat.transpose(1, 2), _by_direction(trace.hidden[:-1]))
        if open_input is not None:
            flat = flat * _by_direction(open_input)
        grad_x: Tensor | None = None
        if ctx.needs_input_grad[0]:
            parts = torch.bmm(flat, weight_ih.to(product)).view(count, steps, batch, -1)
            grad_x = parts[0] + parts[1].flip(0) if count == 2 else parts[0]
        return (
            grad_x,
            None,
            torch.bmm(flat.transpose(1, 2), flipped).to(pointwise),
            grad_weight_hh.to(pointwise),
            flat.to(pointwise).sum(dim=1),
            grad_projection,
            grad_peephole,
            None,
        )


def _input_part(
    flipped: Tensor, weight_ih: Tensor, bias: Tensor, *, steps: int, settings: _Settings
) -> Tensor:
    """W_x x + b of all steps: [T, D, B, 4H] of ``flipped`` [D, T * B, I]."""
    count, rows, _ = weight_ih.shape
    scale = _row_scale(weight_ih, settings)
    weights = (weight_ih * scale[:, None]).to(settings.product).transpose(1, 2)
    product = torch.bmm(flipped, weights).view(count, steps, -1, rows).transpose(0, 1)
    return product.to(settings.pointwise).add_((bias * scale)[:, None, :]).contiguous()


def _row_scale(weights: Tensor, settings: _Settings) -> Tensor:
    """[4H]: 2 for the g gate, whose tanh is a sigmoid of twice its sum; doubling is exact.

    Rounded sums are doubled in the loop, after their rounding.
    """
    scale = torch.ones(4, weights.shape[1] // 4, device=weights.device, dtype=settings.pointwise)
    if settings.rounding.gates is None:
        scale[2] = 2.0
    return scale.flatten()


def _step_masks(
    lengths: Tensor, steps: int, directions: int, dtype: torch.dtype
) -> list[Tensor | None]:
    """Per step ``dtype``[D, B, 1] of real frames, or None where no utterance is padded."""
    time = torch.arange(steps, device=lengths.device)[:, None]
    valid = [(time < lengths).to(dtype), (time.flip(0) < lengths).to(dtype)][:directions]
    masks = torch.stack(valid, dim=1).unsqueeze(-1)  # [T, D, B, 1]
    full = masks.flatten(1).all(dim=1).tolist()
    return [None if every else mask for every, mask in zip(full, masks, strict=True)]


def _run(
    gates: Tensor,
    weight_hh: Tensor,
    projection: Tensor | None,
    peephole: Tensor | None,
    masks: list[Tensor | None],
    settings: _Settings,
) -> LstmTrace:
    """The loop over time; ``gates`` [T, D, B, 4H] holds the input part and becomes the gates."""
    steps, count, batch, rows = gates.shape
    outputs, grids = weight_hh.shape[2], settings.rounding
    gate_grid, cell_grid, hidden_grid = grids.gate_grid, grids.cell_grid, grids.hidden_grid
    scaled = weight_hh * _row_scale(weight_hh, settings)[:, None]
    recurrent = scaled.to(settings.product).transpose(1, 2).contiguous()
    parts = gates.view(steps, count, batch, 4, rows // 4)
    cell, squashed = (gates.new_empty((steps, count, batch, rows // 4)) for _ in range(2))
    hidden = gates.new_zeros((steps + 1, count, batch, outputs), dtype=settings.product)
    unprojected = None if projection is None else cell.new_empty(cell.shape, dtype=hidden.dtype)
    projected = None if projection is None else projection.to(hidden.dtype).transpose(1, 2)
    open_output: list[Tensor] = []
    previous = torch.zeros_like(cell[0])
    for step in range(steps):
        product = torch.bmm(hidden[step], recurrent)
        gates[step].add_(product if gate_grid is None else gate_grid.round_freely_(product))
        i, f, g, o = parts[step].unbind(dim=2)
        ready = parts[step] if peephole is None else parts[step, :, :, :3]
        if peephole is not None:
            _add_peephole(ready[:, :, :2], peephole[:, None, :2], previous.unsqueeze(2), gate_grid)
        if gate_grid is not None:
            gate_grid.saturate_(ready)
            g.mul_(2)
        ready.sigmoid_()
        g.mul_(2).sub_(1)
        c, tanh_c = cell[step], squashed[step]
        torch.mul(f, previous, out=c)
        c.addcmul_(i, g)
        c = c.clamp_(-CELL_LIMIT, CELL_LIMIT) if cell_grid is None else cell_grid.round_(c)
        mask = masks[step]
        if mask is not None:
            c.mul_(mask)
        if peephole is not None:
            _add_peephole(o, peephole[:, None, 2], c, gate_grid)
            (o if gate_grid is None else gate_grid.saturate_(o)).sigmoid_()
        torch.mul(c, 2, out=tanh_c)
        tanh_c.sigmoid_().mul_(2).sub_(1)
        # A masked cell is zero, so tanh(c) and with it m and h are zero too.
        m = o * tanh_c if hidden_grid is None else hidden_grid.round_(o * tanh_c)
        if projected is None or unprojected is None:
            hidden[step + 1].copy_(m)
        else:
            h = torch.bmm(unprojected[step].copy_(m), projected)
            if grids.projected is not None:
                open_output.append(grids.projected.holds(h))
                grids.projected.round_(h)
            hidden[step + 1].copy_(h)
        previous = c
    inside = _unless_all(torch.stack(open_output)) if open_output else None
    return LstmTrace(gates, cell, squashed, hidden, unprojected, inside)


def _add_peephole(sums: Tensor, weights: Tensor, cell: Tensor, grid: Grid | None) -> None:
    if grid is None:
        sums.addcmul_(weights, cell)
    else:
        sums.add_(grid.round_freely_(weights * cell))


def _by_direction(values: Tensor) -> Tensor:
    """[D, T * B, N] of [T, D, B, N]."""
    return values.transpose(0, 1).flatten(1, 2)


def _peephole_gradient(grad_gates: Tensor, cell: Tensor) -> Tensor:
    """[D, 3, H] of grad_gates [T, D, B, 4H] and the cells [T, D, B, H]."""
    i, f, _, o = grad_gates.unflatten(3, (4, -1)).unbind(dim=3)
    old, new = (i[1:], f[1:]), o  # the cell before the first step is zero
    terms = [(gate * cell[:-1]).sum(dim=(0, 2)) for gate in old]
    return torch.stack((*terms, (new * cell).sum(dim=(0, 2))), dim=1)


def _unless_all(values: Tensor) -> Tensor | None:
    return None if bool(values.all()) else values
