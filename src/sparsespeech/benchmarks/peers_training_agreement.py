"""Whether a contender of ``bench training`` trains the network that float32 ``nn.LSTM`` would.

Axes: T frames, B utterances.

Outputs and gradients are compared with those of a twin that has ``nn.LSTM`` in float32: on
utterances of one length, and on the lengths of the benchmark where the contender knows lengths
(the twin then packs its sequences). The comparison takes so few frames that no cell can reach
+-16, where ours saturates and ``nn.LSTM`` does not.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.benchmarks.peers_training_network import Trainee, gradients_by_name

_COMPARED_STEPS = 15  # a cell moves by less than 1 a step


@dataclass(frozen=True)
class Agreement:
    """Largest differences from the twin: as shares of norms, and of single numbers."""

    output: float
    gradient: float
    largest_output: float
    largest_gradient: float


def agreement(trainee: Trainee, twin: DeepSpeech, *, lengths: bool) -> Agreement:
    """How far ``trainee`` is from ``twin``, which has packed ``nn.LSTM``.

    Full lengths are compared, and those of the task too, shortened, where ``lengths`` is True.
    """
    task, masks = trainee.task, trainee.masks
    steps = min(_COMPARED_STEPS, task.steps)
    shortened = tuple(max(1, length * steps // task.steps) for length in task.lengths)
    cases = ((steps,) * len(shortened), shortened) if lengths else ((steps,) * len(shortened),)
    outputs, gradients = [], []
    for case in cases:
        short = replace(task, steps=steps, lengths=case)
        x, valid_steps = short.random_input(), torch.tensor(case)
        with trainee.autocast():
            output = trainee.forward(x, valid_steps).float()
        reference = Trainee(twin, masks, short, nullcontext)
        expected = reference.forward(x, valid_steps)
        valid = torch.arange(len(output))[:, None, None] < valid_steps[:, None]
        weight = torch.randn_like(expected) * valid
        (output * weight).sum().backward()
        (expected * weight).sum().backward()
        outputs.append((output.detach() * valid, expected.detach() * valid))
        ours, theirs = gradients_by_name(trainee.network), gradients_by_name(twin)
        for name, gradient in theirs.items():
            mask = masks.get(name, 1.0)
            gradients.append((ours[name] * mask, gradient * mask))
        trainee.network.zero_grad(set_to_none=True)
        twin.zero_grad(set_to_none=True)
    return Agreement(
        max(_share(*pair) for pair in outputs),
        max(_share(*pair) for pair in gradients),
        max(_largest(*pair) for pair in outputs),
        max(_largest(*pair) for pair in gradients),
    )


def _share(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).norm() / expected.norm().clamp_min(1e-30))


def _largest(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).abs().max())
