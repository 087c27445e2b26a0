"""The range of the cell state is that of torch's own LSTM, and saturation is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparsespeech.exchange.cell_range import CellRange, add_utterance
from sparsespeech.exchange.description import read_description
from sparsespeech.exchange.imported_checkpoint import save_imported_network
from sparsespeech.exchange.state_dict import StateDict
from sparsespeech.exchange.torch_import import import_state_dict
from sparsespeech.graph import Lstm
from sparsespeech.training.checkpoint import load_checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.foreign_network import COEFFICIENTS, ForeignNetwork, describe

FRAMES = 40


# torch itself warns that its LSTM with a projection is slow.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")


def measure(
    folder: Path, foreign: ForeignNetwork, frames: torch.Tensor, split: int = FRAMES // 2
) -> CellRange:
    """Range over utterances of ``split`` frames."""
    torch.save(foreign.state_dict(), folder / "m.pt")
    network = import_state_dict(
        StateDict(folder / "m.pt", foreign.state_dict(), ordered=True),
        read_description(describe(folder / "d.yaml"), {}),
    )
    model = build_model(load_checkpoint(save_imported_network(network, folder / "run")))
    seen = CellRange({layer.name: 0.0 for layer in model.graph.layers if isinstance(layer, Lstm)})
    for half in frames.split(split):
        add_utterance(seen, model, half)
    return seen


@pytest.mark.parametrize("projection", [0, 2])
def test_largest_cell_is_torchs(tmp_path: Path, projection: int) -> None:
    foreign = ForeignNetwork(5, widths=(), projection=projection)
    frames = torch.randn(FRAMES, COEFFICIENTS, generator=torch.Generator().manual_seed(2))
    seen = measure(tmp_path, foreign, frames)
    # torch shows the cell of the last frame only: run every prefix (forward) and suffix (backward).
    largest = 0.0
    for half in frames.split(FRAMES // 2):
        padded = torch.nn.functional.pad(half, (0, 0, 1, 1))
        windows = torch.cat([padded[n : n + len(half)] for n in range(3)], dim=1)
        for end in range(1, len(windows) + 1):
            with torch.no_grad():
                _, (_, forward) = foreign.rnn(windows[:end])
                _, (_, backward) = foreign.rnn(windows[-end:])
            largest = max(largest, float(forward[0].abs().max()), float(backward[1].abs().max()))
    assert seen.largest["layer1"] == pytest.approx(largest, rel=1e-5)
    assert (seen.frames, seen.cells) == (FRAMES, FRAMES * 4 * 2)
    assert (seen.beyond, seen.changed, seen.saturates) == (0, 0, False)


def test_cell_that_counts_beyond_the_limit(tmp_path: Path) -> None:
    """One cell adds the sign of the first coefficient; the head tells negative cells apart."""
    foreign = ForeignNetwork(widths=(), cells=1, bidirectional=False)
    with torch.no_grad():
        for parameter in foreign.parameters():
            parameter.zero_()
        foreign.rnn.bias_ih_l0.copy_(torch.tensor([30.0, 30.0, 0.0, 30.0]))  # open gates, g free
        foreign.rnn.weight_ih_l0[2, COEFFICIENTS] = 20.0  # the middle frame of the window
        foreign.head.weight[1], foreign.head.bias[1] = 1.0, 0.1
        foreign.head.weight[2] = -1.0
    frames = torch.zeros(70, COEFFICIENTS)
    frames[:40, 0], frames[40:, 0] = 1.0, -1.0
    seen = measure(tmp_path, foreign, frames, split=70)
    assert seen.largest == {"layer1": 40.0}
    # Counting up, 17 to 40 are beyond; counting down, 39 to 17.
    assert (seen.beyond, seen.cells, seen.saturates) == (24 + 23, 70, True)
    # Saturated at 16 the count is below zero 17 steps after the turn, else it still is above.
    assert seen.changed == 30 - 16
