"""The digest changes with everything that recognition depends on, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from sparsespeech.training.checkpoint_digest import checkpoint_digest
from sparsespeech.training.weight_matrices import count_weights, weight_matrices
from tests.random_checkpoints import random_checkpoint


def test_what_changes_it_and_what_does_not() -> None:
    checkpoint = random_checkpoint()
    digest = checkpoint_digest(checkpoint)
    same = replace(checkpoint, path=Path("copy"), step=8, facts={"recipe": {"name": "x"}})
    shuffled = dict(reversed(checkpoint.weights.items()))
    assert checkpoint_digest(replace(same, weights=shuffled)) == digest
    one = checkpoint.weights["layer5.weight"].clone()
    one[0, 0] += 1e-3
    others = [
        replace(checkpoint, weights={**checkpoint.weights, "layer5.weight": one}),
        replace(checkpoint, mean=checkpoint.mean + 1e-9),
        replace(checkpoint, deviation=checkpoint.deviation * 2),
        replace(checkpoint, labels=("b", "a", " ")),
        replace(checkpoint, features=replace(checkpoint.features, preemphasis=0.5)),
        replace(checkpoint, fixed_point={"input": torch.tensor([0.0, 1.0])}),
    ]
    assert len({digest, *map(checkpoint_digest, others)}) == 7


def test_biases_and_peepholes_are_no_matrices() -> None:
    checkpoint = random_checkpoint(sparsity=0.5)
    peephole = {"layer4.directions.0.peephole": torch.ones(3, 8)}
    more = replace(checkpoint, weights={**checkpoint.weights, **peephole})
    assert len(weight_matrices(more)) == 9
    entries, nonzeros = count_weights(more)
    assert entries == sum(t.numel() for t in checkpoint.weights.values() if t.ndim == 2)
    assert nonzeros == sum(int((t != 0).sum()) for t in checkpoint.weights.values() if t.ndim == 2)
    assert 0.4 < 1 - nonzeros / entries < 0.6
