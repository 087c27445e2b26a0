"""Training steps in torch: our LSTM, and ``nn.LSTM`` in its place, with the same weights.

Axes: T frames, B utterances, I inputs of the LSTM, H cells of one direction, V labels.

Before a contender is timed, its outputs and gradients are compared with those of a twin that has
``nn.LSTM`` in float32: on utterances of one length, and on the lengths of the benchmark where the
contender knows lengths (the twin then packs its sequences). The comparison takes so few frames
that no cell can reach +-16, where ours saturates and ``nn.LSTM`` does not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.recurrent import SaturatingLstm
from sparsespeech.acoustic_model.sparse_product import kernels_available
from sparsespeech.benchmarks.peer import PreparedPeer
from sparsespeech.errors import BenchmarkError
from sparsespeech.graph import Graph, Lstm, deepspeech

LSTM_NAME = "layer4"
CONTEXT, COEFFICIENTS = 9, 26
_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_COMPARED_STEPS = 15  # a cell moves by less than 1 a step
_LEARNING_RATE = 1e-6  # the data are noise: the step must cost what it costs and change little
_GRADIENT_CLIP = 5.0
# Norms of the largest differences of outputs and of a gradient from float32, as shares of norms.
_TOLERANCES = {"fp32": (1e-4, 1e-3), "bf16": (0.05, 0.2)}


def prepare(task: dict[str, Any], threads: int, precision: str) -> PreparedPeer:
    """A contender of ``precision`` "LSTM DTYPE": ours, sparse, torch or packed; fp32 or bf16.

    ``task`` holds work ("layer" or "model"), width, steps, lengths and sparsity. Raises
    BenchmarkError where its outputs or gradients are not those of ``nn.LSTM``.
    """
    torch.set_num_threads(threads)
    lstm, dtype = precision.split()
    torch.manual_seed(task["width"])
    network = _network(task["work"], task["width"])
    masks = _random_masks(network, task["sparsity"]) if lstm == "sparse" else {}
    _apply(masks, network)
    twin = copy.deepcopy(network)
    _replace_lstm(twin, packs=True)
    if lstm in ("torch", "packed"):
        _replace_lstm(network, packs=lstm == "packed")
    if masks:
        network.set_sparse_patterns(masks)
    autocast = _autocast(dtype)
    output, gradient = _differences(network, twin, masks, task, autocast, lengths=lstm != "torch")
    del twin
    for what, value, limit in zip(
        ("outputs", "gradients"), (output, gradient), _TOLERANCES[dtype], strict=True
    ):
        if not value <= limit:
            raise BenchmarkError(
                f"its {what} differ from those of nn.LSTM by {value:.2g} of their norm, more than "
                f"{limit:g}: it does not train the same network"
            )
    make = _layer_step if task["work"] == "layer" else _model_step
    notes = {"sparse kernels": "yes" if kernels_available() else "no"} if masks else {}
    return PreparedPeer(
        make(network, masks, task, autocast),
        notes,
        finish=lambda _: np.array([output, gradient]),
    )


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


def _network(work: str, width: int) -> DeepSpeech:
    """DeepSpeech of this width, or its LSTM layer alone."""
    if work == "model":
        return DeepSpeech(deepspeech(width), context=CONTEXT, coefficients=COEFFICIENTS)
    layer = Lstm(LSTM_NAME, 2 * width, width)
    return DeepSpeech(Graph((layer,)), context=0, coefficients=2 * width)


def _random_masks(network: DeepSpeech, sparsity: float) -> dict[str, Tensor]:
    """Float 0/1 by name: the smallest weights of each matrix but the output layer are pruned."""
    masks = {}
    for name, parameter in network.named_parameters():
        if parameter.ndim == 2 and not name.startswith("layer6."):
            magnitude = parameter.detach().abs()
            count = max(1, round(sparsity * magnitude.numel()))
            threshold = magnitude.flatten().kthvalue(count).values
            masks[name] = (magnitude > threshold).float()
    return masks


def _apply(masks: dict[str, Tensor], network: DeepSpeech) -> None:
    with torch.no_grad():
        for name, mask in masks.items():
            network.get_parameter(name).mul_(mask)


def _replace_lstm(network: DeepSpeech, *, packs: bool) -> None:
    layer = next(layer for layer in network.graph.layers if isinstance(layer, Lstm))
    ours = network.get_submodule(layer.name)
    assert isinstance(ours, SaturatingLstm)
    network.add_module(layer.name, TorchLstm(layer, ours, packs=packs))


def _autocast(dtype: str) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16")


def _random_input(task: dict[str, Any]) -> Tensor:
    """x [T, B, I] of the layer, or normalised frames [B, T, F] of the model; zero padding."""
    random = torch.Generator().manual_seed(1)
    lengths = torch.tensor(task["lengths"])
    steps = int(task["steps"])
    features = COEFFICIENTS if task["work"] == "model" else 2 * task["width"]
    x = torch.randn(len(lengths), steps, features, generator=random)
    x *= (torch.arange(steps) < lengths[:, None]).unsqueeze(-1)
    return x if task["work"] == "model" else x.transpose(0, 1).contiguous()


def _forward(network: DeepSpeech, work: str, x: Tensor, lengths: Tensor) -> Tensor:
    output: Tensor = (
        network(x, lengths) if work == "model" else network.get_submodule(LSTM_NAME)(x, lengths)
    )
    return output


def _layer_step(
    network: DeepSpeech,
    masks: dict[str, Tensor],
    task: dict[str, Any],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> Callable[[], Any]:
    """Forward and backward of the LSTM layer, gradients of input and weights."""
    x, lengths = _random_input(task).requires_grad_(), torch.tensor(task["lengths"])
    weight = torch.randn(len(x), len(lengths), 2 * task["width"])

    def run() -> Any:
        x.grad = None
        network.zero_grad(set_to_none=True)
        with autocast():
            output = _forward(network, "layer", x, lengths)
        output.backward(weight.to(output.dtype))
        return output.detach()[-1].float().numpy()

    return run


def _model_step(
    network: DeepSpeech,
    masks: dict[str, Tensor],
    task: dict[str, Any],
    autocast: Callable[[], AbstractContextManager[Any]],
) -> Callable[[], Any]:
    """Forward, CTC loss, backward, clipped gradients, AdamW and the masks."""
    x, lengths = _random_input(task), torch.tensor(task["lengths"])
    text_lengths = lengths // 6  # about eight letters a second
    random = torch.Generator().manual_seed(2)
    targets = torch.randint(0, 28, (int(text_lengths.sum()),), generator=random)
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, foreach=True)
    pruned: list[Tensor] = [network.get_parameter(name) for name in masks]
    kept = list(masks.values())

    def run() -> Any:
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            log_probabilities = _forward(network, "model", x, lengths)
        loss = nn.functional.ctc_loss(
            log_probabilities, targets, lengths, text_lengths, blank=28, reduction="sum"
        )
        (loss / len(lengths)).backward()
        nn.utils.clip_grad_norm_(parameters, _GRADIENT_CLIP, foreach=True)
        optimizer.step()
        if pruned:
            with torch.no_grad():
                torch._foreach_mul_(pruned, kept)
        return loss.detach().numpy()

    return run


def _differences(
    network: DeepSpeech,
    twin: DeepSpeech,
    masks: dict[str, Tensor],
    task: dict[str, Any],
    autocast: Callable[[], AbstractContextManager[Any]],
    *,
    lengths: bool,
) -> tuple[float, float]:
    """Largest difference of outputs and of gradients from the twin, as shares of norms.

    Full lengths are compared, and those of the task too, shortened, where ``lengths`` is True.
    """
    steps = min(_COMPARED_STEPS, int(task["steps"]))
    shortened = [max(1, length * steps // task["steps"]) for length in task["lengths"]]
    cases = [[steps] * len(shortened), shortened] if lengths else [[steps] * len(shortened)]
    outputs, gradients = [], []
    for case in map(torch.tensor, cases):
        x = _random_input(task | {"steps": steps, "lengths": case.tolist()})
        with autocast():
            output = _forward(network, task["work"], x, case).float()
        expected = _forward(twin, task["work"], x, case)
        valid = torch.arange(len(output))[:, None, None] < case[:, None]
        weight = torch.randn_like(expected) * valid
        (output * weight).sum().backward()
        (expected * weight).sum().backward()
        outputs.append(_difference(output.detach() * valid, expected.detach() * valid))
        ours, theirs = _gradients(network), _gradients(twin)
        gradients += [
            _difference(ours[name] * masks.get(name, 1.0), theirs[name] * masks.get(name, 1.0))
            for name in theirs
        ]
        network.zero_grad(set_to_none=True)
        twin.zero_grad(set_to_none=True)
    return max(outputs), max(gradients)


def _gradients(network: DeepSpeech) -> dict[str, Tensor]:
    found: dict[str, Tensor | None] = {}
    for prefix, module in network.named_modules():
        if isinstance(module, TorchLstm):
            found |= {f"{prefix}.{name}": value for name, value in module.our_gradients().items()}
        elif not isinstance(module, nn.LSTM):
            own = module.named_parameters(recurse=False)
            found |= {f"{prefix}.{name}": parameter.grad for name, parameter in own}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def _difference(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).norm() / expected.norm().clamp_min(1e-30))
