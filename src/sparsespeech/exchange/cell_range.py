"""How far an imported network leaves the range of our cell state, measured on speech.

Torch's LSTM lets the cell state grow without bound; here it saturates at +-16. The network is run
both ways, and as long as no cell passes 16 both are the same function.

Axes: T frames, I inputs, H cells and P projected outputs of one direction, F coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from rich.progress import Progress
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.graph import CELL_LIMIT, Lstm
from sparsespeech.quantization.calibrate import frames_of_utterance
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model


@dataclass
class CellRange:
    """What was seen so far; ``largest`` is |c| of the network without saturation, by layer."""

    largest: dict[str, float] = field(default_factory=dict)
    beyond: int = 0  # cell states of all frames beyond +-16
    cells: int = 0  # all of them
    frames: int = 0
    changed: int = 0  # frames whose likeliest label differs between both networks

    @property
    def saturates(self) -> bool:
        """True if any cell state passed +-16."""
        return self.beyond > 0


def measure_cell_range(
    checkpoint: Checkpoint, utterances: Sequence[Utterance], progress: Progress
) -> CellRange:
    """Run the network of ``checkpoint`` with and without saturation over recordings.

    Raises AudioError, and the errors of :func:`build_model`.
    """
    model = build_model(checkpoint)
    seen = CellRange({layer.name: 0.0 for layer in model.graph.layers if isinstance(layer, Lstm)})
    for utterance in progress.track(utterances, description="check"):
        frames = torch.from_numpy(frames_of_utterance(utterance, checkpoint)).float()
        if len(frames):
            add_utterance(seen, model, frames)
    return seen


def add_utterance(seen: CellRange, model: DeepSpeech, frames: Tensor) -> None:
    """Add one utterance of normalised frames float32[T, F], T at least 1, to ``seen``."""
    with torch.no_grad():
        free = _without_saturation(model, frames, seen)
        ours = model(frames[None], torch.tensor([len(frames)]))[:, 0]
    seen.frames += len(frames)
    seen.changed += int((free.argmax(1) != ours.argmax(1)).sum())


def _without_saturation(model: DeepSpeech, frames: Tensor, seen: CellRange) -> Tensor:
    """Logits [T, V] of one utterance, cells unbounded; adds their range to ``seen``."""
    x = model.windows(frames[None])[:, 0]
    for layer in model.graph.layers:
        module = model.get_submodule(layer.name)
        if not isinstance(layer, Lstm):
            x = module(x)
            continue
        outputs = []
        for number in range(2 if layer.bidirectional else 1):
            direction = module.get_submodule(f"directions.{number}")
            output, cells = _run_direction(direction, x.flip(0) if number else x)
            outputs.append(output.flip(0) if number else output)
            largest = float(cells.abs().max())
            seen.largest[layer.name] = max(seen.largest[layer.name], largest)
            seen.beyond += int((cells.abs() > CELL_LIMIT).sum())
            seen.cells += cells.numel()
        x = torch.cat(outputs, dim=1)
    return x


def _run_direction(direction: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs [T, P or H] and cell states [T, H] of one direction over x [T, I]."""
    weights = dict(direction.named_parameters())
    projection = weights.get("weight_projection")
    inputs = nn.functional.linear(x, weights["weight_ih"], weights["bias_ih"] + weights["bias_hh"])
    h = x.new_zeros(weights["weight_hh"].shape[1])
    c = x.new_zeros(inputs.shape[1] // 4)
    outputs, cells = [], []
    for gates in inputs:
        i, f, g, o = (gates + weights["weight_hh"] @ h).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        if projection is not None:
            h = projection @ h
        outputs.append(h)
        cells.append(c)
    return torch.stack(outputs), torch.stack(cells)
