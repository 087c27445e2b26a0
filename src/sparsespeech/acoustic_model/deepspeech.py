"""DeepSpeech in torch, with the shapes of Table I of the MAU paper.

Axes: B utterances, T frames, F coefficients of a frame, I = (2 context + 1) F inputs,
V labels with the CTC blank last.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.sparse_product import (
    MOST_DENSITY,
    SparsePattern,
    kernels_available,
    sparse_linear,
    usable_pattern,
)
from sparsespeech.graph import Graph, Linear, Lstm, Output


class ClippedLinear(nn.Module):
    """Fully connected layer with ReLU clipped at ``clip`` (20 in DeepSpeech)."""

    def __init__(self, layer: Linear) -> None:
        """He-uniform weights, zero biases."""
        super().__init__()
        self.clip = layer.clip
        self.weight = nn.Parameter(torch.empty(layer.outputs, layer.inputs))
        self.bias = nn.Parameter(torch.zeros(layer.outputs))
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        self.patterns: dict[str, SparsePattern] = {}  # of "weight", once it is pruned

    def forward(self, x: Tensor) -> Tensor:
        """[T, B, outputs] of x [T, B, inputs]."""
        pattern = usable_pattern(self.patterns.get("weight"), x)
        if pattern is None:
            return nn.functional.hardtanh(
                nn.functional.linear(x, self.weight, self.bias), 0.0, self.clip
            )
        return nn.functional.hardtanh(
            sparse_linear(x, self.weight, self.bias, pattern), 0.0, self.clip
        )


class OutputLinear(nn.Module):
    """Output layer without non-linearity."""

    def __init__(self, layer: Output) -> None:
        """Glorot-uniform weights, zero biases."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(layer.outputs, layer.inputs))
        self.bias = nn.Parameter(torch.zeros(layer.outputs))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., labels] of x [..., inputs]."""
        return nn.functional.linear(x, self.weight, self.bias)


class DeepSpeech(nn.Module):
    """The chain of layers of a graph; parameter names start with the layer's name.

    ``layer1.weight``, ``layer1.bias``, ..., ``layer4.directions.0.weight_ih`` (forward),
    ``layer4.directions.1.weight_hh`` (backward), ..., ``layer6.bias``.
    """

    def __init__(
        self, graph: Graph, *, context: int, coefficients: int, dropout: float = 0.0
    ) -> None:
        """Raise ValueError where the graph holds a layer that training does not know."""
        super().__init__()
        self.graph = graph
        self.context = context
        self.coefficients = coefficients
        self.dropout = dropout
        for layer in graph.layers:
            self.add_module(layer.name, _build(layer))

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities float32[T, B, V] of normalised frames float[B, T, F].

        Frames beyond ``lengths`` (int64[B]) must be 0.0; they never reach a real frame.
        """
        x = self.windows(frames)
        for layer in self.graph.layers:
            module = self.get_submodule(layer.name)
            x = module(x, lengths) if isinstance(layer, Lstm) else module(x)
            if isinstance(layer, Linear) and self.dropout:
                x = nn.functional.dropout(x, self.dropout, self.training)
        return x.float().log_softmax(dim=-1)

    def set_sparse_patterns(self, masks: Mapping[str, Tensor]) -> None:
        """Let training skip the zeros of ``masks``, by parameter name; ``{}`` ends that.

        To be called after every change of the masks; pruned weights then get the gradient 0.
        Matrices that are too dense for it to pay are left out, all of them without kernels.
        """
        worth = {
            name: mask
            for name, mask in masks.items()
            if kernels_available()
            and mask.device.type == "cpu"
            and float(mask.mean()) <= MOST_DENSITY
        }
        for name, module in self.named_modules():
            if isinstance(module, ClippedLinear | SaturatingLstm):
                prefix = f"{name}."
                module.patterns = {
                    key.removeprefix(prefix): SparsePattern.of(mask)
                    for key, mask in worth.items()
                    if key.startswith(prefix)
                }

    def windows(self, frames: Tensor) -> Tensor:
        """Context windows [T, B, I], oldest frame first, zeros beyond the ends."""
        padded = nn.functional.pad(frames, (0, 0, self.context, self.context))
        views = padded.unfold(1, 2 * self.context + 1, 1)  # [B, T, F, 2 context + 1]
        return views.permute(1, 0, 3, 2).reshape(frames.shape[1], frames.shape[0], -1)


def _build(layer: object) -> nn.Module:
    if isinstance(layer, Linear):
        return ClippedLinear(layer)
    if isinstance(layer, Lstm):
        return SaturatingLstm(layer)
    if isinstance(layer, Output):
        return OutputLinear(layer)
    raise ValueError(f"training does not know the layer {layer}")


def prunable_names(model: nn.Module) -> list[str]:
    """Names of all weight matrices, in graph order; biases and peepholes are never pruned."""
    return [
        name
        for name, parameter in model.named_parameters()
        if parameter.ndim == 2 and not name.endswith(".peephole")
    ]
