"""Looking at the two terms of summed directions (rules R2 and R11).

Axes: T frames, B utterances, P projected outputs of one direction.

The sum of projected directions keeps the scale and zero point of its terms, so their common range
must hold both terms and the sum; from outside only the sum is seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.graph import Lstm


@contextmanager
def directions_apart(model: DeepSpeech, seen: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Inside, ``seen`` gets name and terms [T, B, 2 P] of each projected and summed LSTM layer.

    What the model computes does not change. Only for layers whose projected output is not
    rounded (``rounding.projected`` is None): then the sum does not saturate either.
    """
    with ExitStack() as stack:
        for layer in model.graph.layers:
            module = model.get_submodule(layer.name)
            if isinstance(module, SaturatingLstm) and _sums_projections(module.layer):
                stack.callback(setattr, module, "layer", module.layer)
                module.layer = replace(module.layer, merge="concatenate")
                hook = _adding(layer.name, seen)
                stack.callback(module.register_forward_hook(hook, prepend=True).remove)
        yield


def _sums_projections(layer: Lstm) -> bool:
    return bool(layer.projection) and layer.bidirectional and layer.merge == "sum"


def _adding(
    name: str, seen: Callable[[str, Tensor], None]
) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    def add(_module: nn.Module, _inputs: Any, both: Tensor) -> Tensor:
        seen(name, both)
        forward, backward = both.chunk(2, dim=-1)
        return forward + backward

    return add
