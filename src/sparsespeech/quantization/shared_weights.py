"""Weight matrices whose nonzeros share the values of a codebook, while the values are trained.

Axes: n nonzeros of a matrix, K values of its codebook.

As in deep compression: the gradient of a shared value is the sum of the gradients of the weights
that have it. Pruned weights stay 0. The network runs with plain weight matrices, so every kernel of
training serves; only between the steps are the matrices written anew from their codebooks.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from sparsespeech.quantization.codebook import Codebook


class SharedWeights:
    """Matrices whose nonzeros are written from trained codebooks."""

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], codebooks: Mapping[str, Codebook]
    ) -> None:
        """Each parameter of ``codebooks`` takes its nearest values now; its zeros are kept."""
        self._parameters = {name: parameters[name] for name in codebooks}
        self._places: dict[str, Tensor] = {}  # int64[n] in the flat matrix
        self._codes: dict[str, Tensor] = {}  # int64[n]
        self.values: dict[str, nn.Parameter] = {}  # float32[K]
        for name, codebook in codebooks.items():
            flat = parameters[name].detach().reshape(-1)
            places = flat.nonzero()[:, 0]
            codes = codebook.codes(flat[places].cpu().numpy())
            self._places[name] = places
            self._codes[name] = torch.from_numpy(codes).to(flat.device)
            self.values[name] = nn.Parameter(
                torch.from_numpy(codebook.values).to(flat.device, torch.float32)
            )
        self.write_weights()

    def take_gradients(self) -> None:
        """Move the gradients of the matrices to the codebooks: a sum over each value's weights."""
        for name, parameter in self._parameters.items():
            values = self.values[name]
            if parameter.grad is None:
                values.grad = None
                continue
            # float64: up to millions of gradients meet in one sum.
            flat = parameter.grad.reshape(-1)[self._places[name]].double()
            total = torch.zeros_like(values, dtype=torch.float64)
            values.grad = total.index_add_(0, self._codes[name], flat).to(values.dtype)
            parameter.grad = None

    def write_weights(self) -> None:
        """Put the value of each nonzero into its matrix."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                shared = self.values[name].detach()[self._codes[name]]
                parameter.view(-1)[self._places[name]] = shared.to(parameter.dtype)

    def codebooks(self) -> dict[str, Codebook]:
        """The codebooks as they are now; values may have met or passed each other."""
        return {
            name: Codebook(np.unique(values.detach().cpu().double().numpy()))
            for name, values in self.values.items()
        }
