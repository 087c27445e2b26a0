"""A torch state dict to the network that training, pruning and quantization know.

The modules of the file become a chain: each nn.Linear but the last a Linear with clipped ReLU,
each layer of an nn.LSTM an Lstm, the last nn.Linear the Output. Weights are copied as they are;
only the rows of the output layer move, so that the CTC blank is the last class.

Axes: O outputs, I inputs; V classes, the blank among them; F coefficients of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.errors import ExchangeError, ModelFileError
from sparsespeech.exchange.description import Description
from sparsespeech.exchange.modules import LinearModule, LstmModule, LstmStep, Module, find_modules
from sparsespeech.exchange.state_dict import StateDict
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.model_file.graph_rules import prove_graph

_OUR_NAMES = {"weight_hr": "weight_projection"}  # all others are torch's own


@dataclass(frozen=True, eq=False)
class ImportedNetwork:
    """A float network with everything that a checkpoint needs."""

    path: Path
    graph: Graph
    weights: dict[str, Tensor]  # float32, named as in acoustic_model.deepspeech
    features: MfccConfig
    mean: NDArray[np.float64]  # float64[F]
    deviation: NDArray[np.float64]  # float64[F]
    labels: tuple[str, ...]
    sources: dict[str, str]  # the foreign name of each layer


def import_state_dict(source: StateDict, description: Description) -> ImportedNetwork:
    """Chain the modules of ``source`` as ``description`` says.

    Raises ExchangeError naming the tensor, its shape and the expected one.
    """
    features = description.feature_config()
    modules = order_modules(
        source, find_modules(source, description.ignore), features.inputs, description.layers
    )
    _check_chain(source, modules, features)
    last = modules[-1]
    if not isinstance(last, LinearModule):
        raise ExchangeError(
            f"{source.path}: the last module, {last.name!r}, is an nn.LSTM; expected an nn.Linear "
            f"whose outputs are the classes. --layers says the order"
        )
    labels = description.symbols(last.outputs)
    chain = _Chain(description)
    for module in modules[:-1]:
        chain.append(module)
    chain.finish(last)
    graph = Graph(tuple(chain.layers))
    try:
        prove_graph(graph, labels, features.to_json())
    except ModelFileError as error:
        raise ExchangeError(f"{source.path}: {error}") from None
    mean, deviation = description.statistics(features.coefficients)
    return ImportedNetwork(
        source.path, graph, chain.weights, features, mean, deviation, labels, chain.sources
    )


class _Chain:
    """The layers so far, named layer1, layer2, ... as in DeepSpeech."""

    def __init__(self, description: Description) -> None:
        self.layers: list[Layer] = []
        self.weights: dict[str, Tensor] = {}
        self.sources: dict[str, str] = {}
        self._description = description

    def append(self, module: Module) -> None:
        """A hidden module; a stacked nn.LSTM becomes several layers."""
        if isinstance(module, LstmModule):
            for step in module.steps:
                self._append_lstm(step, f"{module.name}.{step.suffix}".lstrip("."))
            return
        name = self._next(module.name)
        clip = self._description.clip_of(module.name)
        self.layers.append(Linear(name, module.inputs, module.outputs, clip))
        self._keep(name, weight=module.weight, bias=module.bias)

    def finish(self, module: LinearModule) -> None:
        """The output layer; the row of the blank moves to the end."""
        name = self._next(module.name)
        self.layers.append(Output(name, module.inputs, module.outputs))
        blank = self._description.blank_class(module.outputs)
        rows = torch.tensor([row for row in range(module.outputs) if row != blank] + [blank])
        self._keep(name, weight=module.weight[rows], bias=module.bias[rows])

    def _append_lstm(self, step: LstmStep, source: str) -> None:
        name = self._next(source)
        bidirectional = len(step.directions) == 2
        self.layers.append(Lstm(name, step.inputs, step.cells, bidirectional, step.projection))
        for number, tensors in enumerate(step.directions):
            named = {_OUR_NAMES.get(kind, kind): tensor for kind, tensor in tensors.items()}
            self._keep(f"{name}.directions.{number}", **named)

    def _next(self, source: str) -> str:
        name = f"layer{len(self.layers) + 1}"
        self.sources[name] = source
        return name

    def _keep(self, prefix: str, **tensors: Tensor) -> None:
        self.weights |= {f"{prefix}.{kind}": tensor for kind, tensor in tensors.items()}


def order_modules(
    source: StateDict, modules: Sequence[Module], inputs: int, names: Sequence[str] | None
) -> list[Module]:
    """The modules from input to output: as ``names`` says, else as the file has them.

    For a file without order the one that fits is taken, if at each place only one module takes
    what the one before gives. Raises ExchangeError.
    """
    if names is not None:
        return _named_order(source, modules, names)
    if source.ordered:
        return list(modules)
    left, width, ordered = list(modules), inputs, list[Module]()
    while left:
        fitting = [module for module in left if module.inputs == width]
        if len(fitting) > 1:
            raise ExchangeError(
                f"{source.path}: a safetensors file keeps no order, and "
                f"{' and '.join(repr(module.name) for module in fitting)} all take {width} inputs; "
                f"say the order with --layers NAME,NAME,... of "
                f"{', '.join(module.name for module in modules)}"
            )
        chosen = fitting[0] if fitting else left[0]  # what does not fit is named by _check_chain
        left.remove(chosen)
        ordered.append(chosen)
        width = chosen.outputs
    return ordered


def _named_order(
    source: StateDict, modules: Sequence[Module], names: Sequence[str]
) -> list[Module]:
    by_name = {module.name: module for module in modules}
    if sorted(names) != sorted(by_name):
        raise ExchangeError(
            f"{source.path}: layers must name each of {', '.join(by_name)} once, got "
            f"{', '.join(names)}; tensors of other modules are left out with --ignore"
        )
    return [by_name[name] for name in names]


def _check_chain(source: StateDict, modules: Sequence[Module], features: MfccConfig) -> None:
    first = modules[0]
    if first.inputs != features.inputs:
        raise ExchangeError(
            f"{source.path}: {first.shape}: takes {first.inputs} inputs, but the features give "
            f"(2 x {features.context} + 1) frames x {features.coefficients} coefficients = "
            f"{features.inputs}; set features.context or features.coefficients"
        )
    for before, module in pairwise(modules):
        if module.inputs != before.outputs:
            raise ExchangeError(
                f"{source.path}: {module.shape}: takes {module.inputs} inputs, expected "
                f"{before.outputs}, the outputs of {before.name!r} before it; say the order with "
                f"--layers, or leave modules out with --ignore"
            )
