"""An LSTM layer written down one utterance and one frame at a time, differentiated by torch.

Axes: T steps, B utterances, H cells, P fed-back outputs. It shares no code with the layer of
``sparsespeech.acoustic_model`` and serves as its oracle, slowly.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Steps:
    """Step sizes of rounding; 0 is none. ``projected``: step, lowest and highest multiple."""

    gates: float = 0.0
    cell: float = 0.0
    hidden: float = 0.0
    projected: tuple[float, int, int] | None = None


def plain_lstm(
    x: Tensor,
    lengths: list[int],
    directions: list[Parameters],
    *,
    steps: Steps = Steps(),
    merge: str = "concatenate",
) -> Tensor:
    """[T, B, outputs] of x [T, B, I], zero beyond ``lengths``."""
    columns = []
    for utterance, length in enumerate(lengths):
        outputs = []
        for number, parameters in enumerate(directions):
            frames = list(x[:length, utterance])
            if number:
                frames.reverse()
            hidden = _direction(frames, parameters, steps)
            if number:
                hidden.reverse()
            outputs.append(torch.stack(hidden))
        if merge == "sum":
            total = outputs[0] + outputs[1]
            low, high = _range_of_a_direction(directions[0], steps)
            merged = total.clamp(low, high)
        else:
            merged = torch.cat(outputs, dim=1)
        padding = merged.new_zeros(len(x) - length, merged.shape[1])
        columns.append(torch.cat((merged, padding)))
    return torch.stack(columns, dim=1)


def straight_through(value: Tensor, step: float, low: int, high: int, *, open_ends: bool) -> Tensor:
    """Rounded half up and saturated; gradient 1 inside, 0 where saturated.

    ``open_ends``: a value that is rounded to an end of the range has its gradient.
    """
    count = torch.floor(value.detach() / step + 0.5)
    rounded = count.clamp(low, high) * step
    inside = (count >= low) & (count <= high)
    if not open_ends:
        inside = (count > low) & (count < high)
    return torch.where(inside, value - value.detach() + rounded, rounded)


def _direction(frames: list[Tensor], parameters: Parameters, steps: Steps) -> list[Tensor]:
    cells = parameters["bias_ih"].shape[0] // 4
    h = frames[0].new_zeros(parameters["weight_hh"].shape[1])
    c = frames[0].new_zeros(cells)
    bias = parameters["bias_ih"] + parameters["bias_hh"]
    peephole = parameters.get("peephole")

    def gate_term(value: Tensor) -> Tensor:
        return _freely(value, steps.gates)

    def gate_sum(value: Tensor) -> Tensor:
        if not steps.gates:
            return value
        # A saturated gate keeps the slope of its sigmoid there, which is below 2e-7.
        return value - value.detach() + value.detach().clamp(-16.0, 16.0 - steps.gates)

    outputs = []
    for frame in frames:
        xp = parameters["weight_ih"] @ frame + bias
        if steps.gates:
            bound = round(16 / steps.gates)
            xp = straight_through(xp, steps.gates, -bound, bound - 1, open_ends=True)
        i, f, g, o = (xp + gate_term(parameters["weight_hh"] @ h)).chunk(4)
        if peephole is not None:
            i, f = i + gate_term(peephole[0] * c), f + gate_term(peephole[1] * c)
        c = torch.sigmoid(gate_sum(f)) * c + torch.sigmoid(gate_sum(i)) * torch.tanh(gate_sum(g))
        if steps.cell:
            bound = round(16 / steps.cell)
            c = straight_through(c, steps.cell, -bound, bound - 1, open_ends=False)
        else:
            c = c.clamp(-16.0, 16.0)
        if peephole is not None:
            o = o + gate_term(peephole[2] * c)
        h = _freely(torch.sigmoid(gate_sum(o)) * torch.tanh(c), steps.hidden)
        if "weight_projection" in parameters:
            h = parameters["weight_projection"] @ h
            if steps.projected:
                h = straight_through(h, *steps.projected, open_ends=True)
        outputs.append(h)
    return outputs


def _freely(value: Tensor, step: float) -> Tensor:
    """Rounded without an end of the range."""
    if not step:
        return value
    return straight_through(value, step, -(2**40), 2**40, open_ends=True)


def _range_of_a_direction(parameters: Parameters, steps: Steps) -> tuple[float, float]:
    if "weight_projection" in parameters:
        if steps.projected is None:
            return -float("inf"), float("inf")
        step, low, high = steps.projected
        return low * step, high * step
    return -128 / 127, 1.0
