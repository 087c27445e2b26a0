"""Calibration: the float model runs over a small sample of utterances and its ranges are kept.

Axes: T frames, F coefficients of a frame, O outputs of a layer.

Observed are the normalised feature frames, the output of each clipped layer and that of each LSTM
with projection. Another LSTM's output needs no observation: its scale 1/127 and zero point 128 are
fixed (R2; 1/32768 and 0 in wide mode, R10), and gates and cell are Q4.11 (R5, R7).
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
from sparsespeech.errors import CheckpointError, ConversionError
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.graph import Graph, Linear, Lstm
from sparsespeech.quantization.directions_apart import directions_apart
from sparsespeech.quantization.observers import (
    DEFAULT_MOMENTUM,
    ActivationRange,
    MovingAverageObserver,
)
from sparsespeech.training.checkpoint import Checkpoint

Item = TypeVar("Item")
Frames = NDArray[np.float64]
INPUT = "input"  # the name under which the feature frames are observed
CALIBRATED, TRAINED = "calibration", "fixed-point retraining"


@dataclass(frozen=True)
class Calibration:
    """Ranges of all activations that have no fixed scale."""

    input: ActivationRange  # of the normalised feature frames
    outputs: dict[str, ActivationRange]  # by layer name, those of ``observed_names``
    utterances: int
    momentum: float
    source: str = CALIBRATED  # or TRAINED


def observed_names(graph: Graph) -> list[str]:
    """Layers whose output has a calibrated range (R2), in graph order."""
    return [
        layer.name
        for layer in graph.layers
        if isinstance(layer, Linear) or (isinstance(layer, Lstm) and layer.projection)
    ]


def trained_calibration(checkpoint: Checkpoint) -> Calibration | None:
    """The ranges that fixed-point retraining ended with; None if the checkpoint has none.

    Raises CheckpointError if they do not belong to the checkpoint's graph.
    """
    if not checkpoint.fixed_point:
        return None
    observers = {}
    try:
        for name in (INPUT, *observed_names(checkpoint.graph)):
            observers[name] = MovingAverageObserver()
            observers[name].restore(checkpoint.fixed_point[name][:4])
        ranges = {name: observer.range() for name, observer in observers.items()}
    except (KeyError, ValueError, ConversionError) as error:
        raise CheckpointError(
            f"{checkpoint.path}: ranges of fixed-point retraining do not fit the graph: {error}"
        ) from None
    count = observers[INPUT].count
    return Calibration(ranges.pop(INPUT), ranges, count, DEFAULT_MOMENTUM, TRAINED)


def choose_utterances(utterances: Sequence[Item], count: int, seed: int) -> list[Item]:
    """``count`` different utterances (all, if there are fewer) in an order fixed by ``seed``."""
    return random.Random(seed).sample(list(utterances), min(count, len(utterances)))


def frames_of_utterance(utterance: Utterance, checkpoint: Checkpoint) -> Frames:
    """Feature frames float64[T, F] of a recording, normalised; raises AudioError."""
    samples = read_audio(utterance.audio_filepath, checkpoint.features.sample_rate_hz).samples
    return frames_of_samples(samples, checkpoint)


def frames_of_samples(samples: NDArray[np.floating[Any]], checkpoint: Checkpoint) -> Frames:
    """Feature frames float64[T, F] of samples [N] at the checkpoint's rate, normalised."""
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
    observers = {
        name: MovingAverageObserver(momentum) for name in (INPUT, *observed_names(model.graph))
    }
    count = 0
    for frames in utterances:
        if len(frames) == 0:
            continue
        count += 1
        terms: dict[str, Tensor] = {}
        with directions_apart(model, terms.__setitem__):
            observed = {INPUT: torch.from_numpy(frames), **layer_outputs(model, frames)}
        for name, both in terms.items():
            observed[name] = torch.cat((both[:, 0], observed[name]), dim=1)
        for name, observer in observers.items():
            try:
                observer.observe(observed[name])
            except ConversionError as error:
                raise ConversionError(f"{name}, calibration utterance {count}: {error}") from None
    ranges = {name: observer.range() for name, observer in observers.items()}
    return Calibration(ranges.pop(INPUT), ranges, count, momentum)
