"""What ``bench training`` trains: task, network, and ``nn.LSTM`` in the place of our LSTM.

Axes: T frames, B utterances, F coefficients, I inputs of the LSTM, H cells of one direction,
V labels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.graph import Lstm

LSTM_NAME = "layer4"
COEFFICIENTS = 26
_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
Autocast = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class TrainingTask:
    """What is trained: ``work`` is "layer" or "model", ``lengths`` [B] at most ``steps`` frames."""

    work: str
    width: int
    steps: int
    lengths: tuple[int, ...]
    sparsity: float

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainingTask:
        """The task that the benchmark wrote."""
        return cls(**{**values, "lengths": tuple(values["lengths"])})

    def random_input(self) -> Tensor:
        """x [T, B, I] of the layer, or normalised frames [B, T, F] of the model; zero padding."""
        random = torch.Generator().manual_seed(1)
        lengths = torch.tensor(self.lengths)
        features = COEFFICIENTS if self.work == "model" else 2 * self.width
        x = torch.randn(len(lengths), self.steps, features, generator=random)
        x *= (torch.arange(self.steps) < lengths[:, None]).unsqueeze(-1)
        return x if self.work == "model" else x.transpose(0, 1).contiguous()


@dataclass(frozen=True, eq=False)
class Trainee:
    """A network under a task; ``masks`` holds 0/1 by parameter name where it is pruned."""

    network: DeepSpeech
    masks: dict[str, Tensor]
    task: TrainingTask
    autocast: Autocast

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The layer's output [T, B, 2H], or the model's log-probabilities [T, B, V]."""
        network = self.network
        model = self.task.work == "model"
        output: Tensor = (network if model else network.get_submodule(LSTM_NAME))(x, lengths)
        return output


class TorchLstm(nn.Module):
    """``nn.LSTM`` with the weights of one of our layers; with ``packs`` it sees the lengths."""

    def __init__(self, layer: Lstm, ours: SaturatingLstm, *, packs: bool) -> None:
        super().__init__()
        self._packs = packs
        self.lstm = nn.LSTM(layer.inputs, layer.cells, bidirectional=layer.bidirectional)
        with torch.no_grad():
            for direction, suffix in zip(ours.directions, ("", "_reverse"), strict=False):
                for name in _NAMES:
                    self.lstm.get_parameter(f"{name}_l0{suffix}").copy_(
                        direction.get_parameter(name)
                    )
        self.lstm.flatten_parameters()

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[T, B, 2H] of x [T, B, I]."""
        if not self._packs:
            output: Tensor = self.lstm(x)[0]
            return output
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        padded: Tensor = nn.utils.rnn.pad_packed_sequence(
            self.lstm(packed)[0], total_length=len(x)
        )[0]
        return padded

    def our_gradients(self) -> dict[str, Tensor | None]:
        """Gradients by the names that our layer gives its parameters."""
        return {
            f"directions.{number}.{name}": self.lstm.get_parameter(f"{name}_l0{suffix}").grad
            for number, suffix in enumerate(("", "_reverse"))
            for name in _NAMES
        }


def replace_lstm(network: DeepSpeech, *, packs: bool) -> None:
    """Put ``nn.LSTM`` with the same weights in the place of the network's LSTM layer."""
    layer = next(layer for layer in network.graph.layers if isinstance(layer, Lstm))
    ours = network.get_submodule(layer.name)
    assert isinstance(ours, SaturatingLstm)
    network.add_module(layer.name, TorchLstm(layer, ours, packs=packs))


def gradients_by_name(network: DeepSpeech) -> dict[str, Tensor]:
    """Gradients by the parameter names of our network, whichever LSTM it has."""
    found: dict[str, Tensor | None] = {}
    for prefix, module in network.named_modules():
        if isinstance(module, TorchLstm):
            found |= {f"{prefix}.{name}": value for name, value in module.our_gradients().items()}
        elif not isinstance(module, nn.LSTM):
            own = module.named_parameters(recurse=False)
            found |= {f"{prefix}.{name}": parameter.grad for name, parameter in own}
    return {name: gradient for name, gradient in found.items() if gradient is not None}
