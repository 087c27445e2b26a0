"""The way back through time of ``lstm_function``.

Axes: T time steps, B utterances, H cells of one direction, P fed-back outputs of one direction
(H without projection), D directions. Gate order i, f, g, o; peepholes in the order i, f, o.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.acoustic_model.step_rounding import Grid
from sparsespeech.graph import CELL_LIMIT


@dataclass(frozen=True, eq=False)
class LstmTrace:
    """What the forward loop keeps for the gradients.

    ``gates`` [T, D, B, 4H] after their non-linearities, ``cell`` and its tanh ``squashed``
    [T, D, B, H], ``hidden`` [T + 1, D, B, P] from the rest state on. With projection
    ``unprojected`` [T, D, B, H] is o tanh(c), and ``open_output`` (bool [T, D, B, P]) is False
    where a projected output was saturated; None where none was.
    """

    gates: Tensor
    cell: Tensor
    squashed: Tensor
    hidden: Tensor
    unprojected: Tensor | None
    open_output: Tensor | None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """All fields in order, for torch to keep."""
        return (
            self.gates,
            self.cell,
            self.squashed,
            self.hidden,
            self.unprojected,
            self.open_output,
        )


def gate_gradients(
    trace: LstmTrace,
    grad_hidden: Tensor,
    weight_hh: Tensor,
    projection: Tensor | None,
    peephole: Tensor | None,
    masks: list[Tensor | None],
    cell_grid: Grid | None,
) -> Tensor:
    """Gradients of the gate sums [T, D, B, 4H] in the dtype of ``weight_hh`` [D, 4H, P].

    ``grad_hidden`` [T, D, B, P] is the gradient of the layer's output; it is turned in place into
    that of h with all later steps. Everything that does not depend on later steps is computed for
    all steps at once; without projection and peephole the loop holds one product and five
    pointwise operations. A gate whose sum was saturated keeps its slope there, below 2e-7.
    """
    cell = trace.cell
    steps, count, batch, cells = cell.shape
    slopes, through_cell = _slopes(trace)
    saturated = cell.abs() >= CELL_LIMIT if cell_grid is None else cell_grid.ends(cell)
    open_cell = (~saturated).to(cell.dtype) if bool(saturated.any()) else None
    forget = trace.gates.unflatten(3, (4, cells))[..., 1, :]
    result = torch.empty(trace.gates.shape, dtype=weight_hh.dtype, device=cell.device)
    parts = result.view(steps, count, batch, 4, cells)
    carried = torch.zeros_like(cell[0])
    recurrent = torch.zeros_like(grad_hidden[0], dtype=weight_hh.dtype)
    for step in range(steps - 1, -1, -1):
        grad_m = grad_hidden[step].add_(recurrent)
        if trace.open_output is not None:
            grad_m.mul_(trace.open_output[step])
        if projection is not None:
            grad_m = torch.bmm(grad_m.to(projection.dtype), projection).to(cell.dtype)
        parts[step, :, :, 3] = grad_m * slopes[step, :, :, 3]
        grad_c = carried.addcmul_(grad_m, through_cell[step])
        if peephole is not None:
            grad_c.addcmul_(peephole[:, None, 2], parts[step, :, :, 3].to(cell.dtype))
        if open_cell is not None:
            grad_c.mul_(open_cell[step])
        mask = masks[step]
        if mask is not None:
            grad_c.mul_(mask)
        parts[step, :, :, :3] = grad_c.unsqueeze(2) * slopes[step, :, :, :3]
        recurrent = torch.bmm(result[step], weight_hh)
        carried = grad_c.mul_(forget[step])
        if peephole is not None:
            old_gates = parts[step, :, :, :2].to(cell.dtype)
            carried.add_((peephole[:, None, :2] * old_gates).sum(dim=2))
    return result


def _slopes(trace: LstmTrace) -> tuple[Tensor, Tensor]:
    """Slopes [T, D, B, 4, H] of c (i, f, g) and m (o) by the gate sums, and [T, D, B, H] of m by c.

    The second does not count the peephole of o.
    """
    cell, squashed = trace.cell, trace.squashed
    i, f, g, o = trace.gates.unflatten(3, (4, cell.shape[3])).unbind(dim=3)
    earlier = torch.cat((torch.zeros_like(cell[:1]), cell[:-1]))
    slopes = torch.stack(
        (g * i * (1 - i), earlier * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)), dim=3
    )
    return slopes, o * (1 - squashed * squashed)
