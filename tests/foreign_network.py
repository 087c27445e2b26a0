"""A speech network written in plain torch, as somebody else would, to import and compare with.

Axes: B utterances, T frames, F coefficients, I inputs of the first layer, V classes.
"""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

SYMBOLS = " abcd"
COEFFICIENTS = 5
CONTEXT = 1


class ForeignNetwork(nn.Module):
    """Linear layers with clipped ReLU, a stacked nn.LSTM, and a last Linear; blank is class 0."""

    def __init__(
        self,
        seed: int = 0,
        *,
        widths: tuple[int, ...] = (7, 6),
        cells: int = 4,
        stack: int = 1,
        bidirectional: bool = True,
        projection: int = 0,
        bias: bool = True,
        context: int = CONTEXT,
        coefficients: int = COEFFICIENTS,
        clip: float = 1.0,
    ) -> None:
        torch.manual_seed(seed)
        super().__init__()
        self.context, self.clip = context, clip
        inputs = (2 * context + 1) * coefficients
        self.dense = nn.ModuleList()
        for width in widths:
            self.dense.append(nn.Linear(inputs, width, bias=bias))
            inputs = width
        self.rnn = nn.LSTM(
            inputs, cells, stack, bidirectional=bidirectional, proj_size=projection, bias=bias,
            batch_first=True,
        )  # fmt: skip
        both = 2 if bidirectional else 1
        self.head = nn.Linear(both * (projection or cells), len(SYMBOLS) + 1, bias=bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Log-probabilities [B, T, V] of normalised frames [B, T, F] of equal lengths."""
        padded = nn.functional.pad(frames, (0, 0, self.context, self.context))
        count = frames.shape[1]
        x = torch.cat([padded[:, n : n + count] for n in range(2 * self.context + 1)], dim=2)
        for layer in self.dense:
            x = layer(x).clamp(0.0, self.clip)
        x, _ = self.rnn(x)
        return self.head(x).log_softmax(dim=-1)


def describe(path: Path, **changes: object) -> Path:
    """The file that describes :class:`ForeignNetwork`, with entries replaced."""
    values: dict[str, object] = {
        "clip": 1.0,
        "labels": SYMBOLS,
        "blank": "first",
        "features": {"context": CONTEXT, "coefficients": COEFFICIENTS},
        "normalisation": "none",
    }
    path.write_text(yaml.safe_dump({**values, **changes}))
    return path
