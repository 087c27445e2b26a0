"""Calibration: the float model runs over a small sample of utterances and its ranges are kept.

Axes: T frames, F coefficients of a frame, O outputs of a layer.

Observed are the normalised feature frames and the output of each clipped layer. The output of an
LSTM needs no observation: its scale 1/127 and zero point 128 are fixed (R2), and gates and cell
are Q4.11 (R5, R7).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.audio.reading import read_audio
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.errors import ConversionError
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.graph import Linear
from sparsespeech.quantization.observers import (
    DEFAULT_MOMENTUM,
    ActivationRange,
    MovingAverageObserver,
)
from sparsespeech.training.checkpoint import Checkpoint

Item = TypeVar("Item")
Frames = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Ranges of all activations that have no fixed scale."""

    input: ActivationRange  # of the normalised feature frames
    outputs: dict[str, ActivationRange]  # by the name of the Linear layer
    utterances: int
    momentum: float


def choose_utterances(utterances: Sequence[Item], count: int, seed: int) -> list[Item]:
    """``count`` different utterances (all, if there are fewer) in an order fixed by ``seed``."""
    return random.Random(seed).sample(list(utterances), min(count, len(utterances)))


def normalised_frames(utterance: Utterance, checkpoint: Checkpoint) -> Frames:
    """Feature frames float64[T, F] of a recording, normalised; raises AudioError."""
    samples = read_audio(utterance.audio_filepath, checkpoint.features.sample_rate_hz).samples
    frames = extract_mfcc(samples, checkpoint.features)
    return (frames - checkpoint.mean) / checkpoint.deviation


def layer_outputs(model: DeepSpeech, frames: Frames) -> dict[str, Tensor]:
    """Output float32[T, O] of each layer for one utterance of normalised frames [T, F].

    The output layer's entry holds logits, before the softmax.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            found[name] = output[:, 0]

        return hook

    names = [layer.name for layer in model.graph.layers]
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        with torch.no_grad():
            model(torch.from_numpy(frames).float()[None], torch.tensor([len(frames)]))
    finally:
        for handle in handles:
            handle.remove()
    return found


def calibrate(
    model: DeepSpeech, utterances: Iterable[Frames], momentum: float = DEFAULT_MOMENTUM
) -> Calibration:
    """Ranges over ``utterances``, each normalised frames float64[T, F], in their order.

    Utterances without a frame are passed over. Raises ConversionError if none has one, or if an
    activation is not finite.
    """
    names = [layer.name for layer in model.graph.layers if isinstance(layer, Linear)]
    observers = {name: MovingAverageObserver(momentum) for name in ["input", *names]}
    count = 0
    for frames in utterances:
        if len(frames) == 0:
            continue
        count += 1
        observed = {"input": torch.from_numpy(frames), **layer_outputs(model, frames)}
        for name, observer in observers.items():
            try:
                observer.observe(observed[name])
            except ConversionError as error:
                raise ConversionError(f"{name}, calibration utterance {count}: {error}") from None
    ranges = {name: observer.range() for name, observer in observers.items()}
    return Calibration(ranges.pop("input"), ranges, count, momentum)
