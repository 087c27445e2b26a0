"""Small random checkpoints of DeepSpeech with pruned weights, for tests of quantization.

Axes: T frames, F coefficients. ``context`` frames on each side form a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Linear, Lstm, deepspeech
from sparsespeech.training.checkpoint import Checkpoint, save_checkpoint

SYMBOLS = " abcdefghijklmnopqrstuvwxyz'"


def random_checkpoint(
    seed: int = 0,
    *,
    hidden: int = 8,
    bidirectional: bool = True,
    context: int = 1,
    coefficients: int = 5,
    labels: int = 3,
    sparsity: float = 0.5,
    gain: float = 1.0,
    lstm: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Glorot-like weights times ``gain``, each pruned with probability ``sparsity``.

    ``lstm`` changes fields of the LSTM layer, as ``{"projection": 3, "merge": "sum"}``.
    """
    rng = np.random.default_rng(seed)
    features = MfccConfig(coefficients=coefficients, context=context)
    graph = deepspeech(
        hidden, bidirectional=bidirectional, inputs=features.inputs, labels=labels + 1
    )
    if lstm is not None:
        graph = _with_lstm(graph, lstm)
    with torch.device("meta"):
        shapes = DeepSpeech(graph, context=context, coefficients=coefficients).state_dict()
    return Checkpoint(
        path=Path("random"),
        step=7,
        graph=graph,
        features=features,
        mean=rng.normal(0, 5, coefficients),
        deviation=rng.uniform(0.5, 20, coefficients),
        labels=tuple(SYMBOLS[:labels]),
        weights={name: _draw(rng, t, sparsity, gain) for name, t in shapes.items()},
        facts={"recipe": {"name": "random"}, "progress": {}},
    )


def write_checkpoint(
    run: Path,
    checkpoint: Checkpoint,
    recipe: Mapping[str, Any],
    more: Mapping[str, Tensor] | None = None,
) -> Path:
    """The folder of ``checkpoint`` in ``run``, as training would leave it.

    Its weights are the average; ``more`` has tensors by their names in the file ("weights.NAME").
    """
    state = {
        "recipe": recipe,
        "progress": {"hours": 0.1},
        "graph": checkpoint.graph.to_json(),
        "features": checkpoint.features.to_json(),
        "mean": checkpoint.mean.tolist(),
        "deviation": checkpoint.deviation.tolist(),
        "labels": list(checkpoint.labels),
    }
    tensors = {f"average.{name}": tensor for name, tensor in checkpoint.weights.items()}
    return save_checkpoint(run, checkpoint.step, tensors | dict(more or {}), {}, state, keep=1)


def trained_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights once more, as those that the optimizer moves."""
    return {f"weights.{name}": tensor.clone() for name, tensor in checkpoint.weights.items()}


def _with_lstm(graph: Graph, changes: Mapping[str, Any]) -> Graph:
    layers = list(graph.layers)
    old, after = layers[3], layers[4]
    assert isinstance(old, Lstm) and isinstance(after, Linear)
    new = replace(old, **changes)
    layers[3:5] = [new, replace(after, inputs=new.outputs)]
    return Graph(tuple(layers))


def _draw(rng: np.random.Generator, like: Tensor, sparsity: float, gain: float) -> Tensor:
    shape = tuple(like.shape)
    if len(shape) == 1:
        return torch.from_numpy(rng.normal(0, 0.2 * gain, shape).astype(np.float32))
    # Each row keeps its variance when weights are pruned, so that activations do not die out.
    deviation = gain * np.sqrt(2 / (shape[1] * max(1 - sparsity, 0.05)))
    values = rng.normal(0, deviation, shape) * (rng.random(shape) >= sparsity)
    return torch.from_numpy(values.astype(np.float32))


def random_frames(seed: int, count: int, coefficients: int = 5) -> NDArray[np.float64]:
    """Normalised frames float64[T, F], about one standard deviation, a few outliers."""
    rng = np.random.default_rng(seed)
    frames = rng.normal(0, 1, (count, coefficients))
    return np.where(rng.random(frames.shape) < 0.02, 8 * frames, frames)
