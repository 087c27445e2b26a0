"""Training steps in torch: our LSTM, and ``nn.LSTM`` in its place, with the same weights.

Axes: T frames, B utterances, H cells of one direction.

Before a contender is timed it must agree with ``nn.LSTM`` in float32 (``peers_training_agreement``)
in its own precision; ours must do so in float32 too, and that difference is reported.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.acoustic_model.sparse_product import kernel_set
from sparsespeech.benchmarks.peer import PreparedPeer
from sparsespeech.benchmarks.peers_training_agreement import Agreement, agreement
from sparsespeech.benchmarks.peers_training_network import (
    COEFFICIENTS,
    LSTM_NAME,
    Autocast,
    Trainee,
    TrainingTask,
    replace_lstm,
)
from sparsespeech.errors import BenchmarkError
from sparsespeech.graph import Graph, Lstm, deepspeech
from sparsespeech.training.memory import keep_freed_memory

CONTEXT = 9
_LEARNING_RATE = 1e-6  # the data are noise: the step must cost what it costs and change little
_GRADIENT_CLIP = 5.0
# Norms of the largest differences of outputs and of a gradient from float32, as shares of norms.
_TOLERANCES = {
    ("layer", "fp32"): (1e-4, 1e-3),
    ("layer", "bf16"): (0.05, 0.2),
    # Two roundings open or close a ReLU that is zero to the last bit: 3 of them were 0.005 once.
    ("model", "fp32"): (1e-4, 0.02),
    ("model", "bf16"): (0.05, 0.2),
}


def prepare(values: Mapping[str, Any], threads: int, precision: str) -> PreparedPeer:
    """A contender of ``precision`` "LSTM DTYPE": ours, sparse, torch or packed; fp32 or bf16.

    ``values`` are the fields of :class:`TrainingTask`. ``finish`` gives float64[6]: output and
    gradient differences in its own precision as shares of norms, then :class:`Agreement` in
    float32, nan for ``nn.LSTM``. Raises BenchmarkError where the contender does not agree.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()  # as a training run does; torch's contenders gain from it too
    lstm, dtype = precision.split()
    task = TrainingTask.from_json(values)
    torch.manual_seed(task.width)
    network = _network(task)
    masks = random_masks(network, task.sparsity) if lstm == "sparse" else {}
    _apply(masks, network)
    twin = copy.deepcopy(network)
    replace_lstm(twin, packs=True)
    if lstm in ("torch", "packed"):
        replace_lstm(network, packs=lstm == "packed")
    if masks:
        network.set_sparse_patterns(masks)
    trainee = Trainee(network, masks, task, _autocast(dtype))
    own = agreement(trainee, twin, lengths=lstm != "torch")
    if (
        lstm in ("ours", "sparse") or dtype == "fp32"
    ):  # how exact torch's bf16 is, is torch's affair
        _refuse_another_network(own, task.work, dtype)
    exact, notes = np.full(4, np.nan), {}
    if lstm in ("ours", "sparse"):
        notes["native kernels"] = kernel_set() or "no"
        found = agreement(replace(trainee, autocast=nullcontext), twin, lengths=True)
        _refuse_another_network(found, task.work, "fp32")
        exact[:] = found.output, found.gradient, found.largest_output, found.largest_gradient
    del twin
    return PreparedPeer(
        _layer_step(trainee) if task.work == "layer" else _model_step(trainee),
        notes,
        finish=lambda _: np.array([own.output, own.gradient, *exact]),
    )


def _refuse_another_network(found: Agreement, work: str, dtype: str) -> None:
    values = {"outputs": found.output, "gradients": found.gradient}
    for (what, value), limit in zip(values.items(), _TOLERANCES[work, dtype], strict=True):
        if not value <= limit:
            raise BenchmarkError(
                f"its {what} in {dtype} differ from those of nn.LSTM by {value:.2g} of their norm, "
                f"more than {limit:g}: it does not train the same network"
            )


def _network(task: TrainingTask) -> DeepSpeech:
    """DeepSpeech of the task's width, or its LSTM layer alone."""
    if task.work == "model":
        return DeepSpeech(deepspeech(task.width), context=CONTEXT, coefficients=COEFFICIENTS)
    layer = Lstm(LSTM_NAME, 2 * task.width, task.width)
    return DeepSpeech(Graph((layer,)), context=0, coefficients=2 * task.width)


def random_masks(network: DeepSpeech, sparsity: float) -> dict[str, Tensor]:
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


def _autocast(dtype: str) -> Autocast:
    return lambda: torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16")


def _layer_step(trainee: Trainee) -> Callable[[], NDArray[np.float32]]:
    """Forward and backward of the LSTM layer, gradients of input and weights."""
    task = trainee.task
    x, lengths = task.random_input().requires_grad_(), torch.tensor(task.lengths)
    weight = torch.randn(len(x), len(lengths), 2 * task.width)

    def run() -> NDArray[np.float32]:
        x.grad = None
        trainee.network.zero_grad(set_to_none=True)
        with trainee.autocast():
            output = trainee.forward(x, lengths)
        output.backward(weight.to(output.dtype))
        last: NDArray[np.float32] = output.detach()[-1].float().numpy()
        return last

    return run


def _model_step(trainee: Trainee) -> Callable[[], NDArray[np.float32]]:
    """Forward, CTC loss, backward, clipped gradients, AdamW and the masks."""
    x, lengths = trainee.task.random_input(), torch.tensor(trainee.task.lengths)
    text_lengths = lengths // 6  # about eight letters a second
    random = torch.Generator().manual_seed(2)
    targets = torch.randint(0, 28, (int(text_lengths.sum()),), generator=random)
    parameters = list(trainee.network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, fused=True)
    pruned: list[Tensor] = [trainee.network.get_parameter(name) for name in trainee.masks]
    kept = list(trainee.masks.values())

    def run() -> NDArray[np.float32]:
        optimizer.zero_grad(set_to_none=True)
        with trainee.autocast():
            log_probabilities = trainee.forward(x, lengths)
        loss = nn.functional.ctc_loss(
            log_probabilities, targets, lengths, text_lengths, blank=28, reduction="sum"
        )
        (loss / len(lengths)).backward()
        nn.utils.clip_grad_norm_(parameters, _GRADIENT_CLIP, foreach=True)
        optimizer.step()
        if pruned:
            with torch.no_grad():
                torch._foreach_mul_(pruned, kept)
        found: NDArray[np.float32] = loss.detach().numpy()
        return found

    return run
