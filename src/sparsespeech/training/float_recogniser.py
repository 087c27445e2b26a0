"""A training checkpoint as a recogniser: float32 log-probabilities of a recording.

Axes: n samples, T frames, F coefficients, V labels with the CTC blank last.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.errors import CheckpointError, ConversionError
from sparsespeech.features.mfcc import extract_mfcc
from sparsespeech.training.checkpoint import Checkpoint, load_checkpoint


def build_model(checkpoint: Checkpoint) -> DeepSpeech:
    """The checkpoint's network with its averaged weights, ready for inference.

    Raises ConversionError for a layer that training does not know, CheckpointError if the weights
    do not fit the graph.
    """
    features = checkpoint.features
    try:
        with torch.device("meta"):  # initial weights are never drawn
            model = DeepSpeech(
                checkpoint.graph, context=features.context, coefficients=features.coefficients
            )
    except ValueError as error:
        raise ConversionError(f"{checkpoint.path}: {error}") from None
    try:
        model.load_state_dict(checkpoint.weights, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{checkpoint.path}: weights and graph do not fit: {reason}"
        ) from None
    return model.eval()


def normalised_frames(
    samples: NDArray[np.floating[Any]], checkpoint: Checkpoint
) -> NDArray[np.float32]:
    """Features float32[T, F] of ``samples`` (float[n], +-1 full scale), normalised globally."""
    frames = extract_mfcc(samples, checkpoint.features)
    normalised: NDArray[np.float32] = ((frames - checkpoint.mean) / checkpoint.deviation).astype(
        np.float32
    )
    return normalised


class FloatRecogniser:
    """Float counterpart of the integer recogniser, for evaluation side by side."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Build the network of ``checkpoint``."""
        self.checkpoint = checkpoint
        self.alphabet = Alphabet(checkpoint.labels)
        self.sample_rate_hz = checkpoint.features.sample_rate_hz
        self.frame_duration_s = checkpoint.features.frame_duration_s
        self._model = build_model(checkpoint)

    @classmethod
    def load(cls, path: Path) -> FloatRecogniser:
        """Read a run or checkpoint folder; raises CheckpointError."""
        return cls(load_checkpoint(path))

    def log_probabilities(self, samples: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """float32[T, V] of a whole recording at ``sample_rate_hz``."""
        frames = torch.from_numpy(normalised_frames(samples, self.checkpoint))
        if len(frames) == 0:
            return np.zeros((0, self.alphabet.classes), np.float32)
        with torch.no_grad():
            output = self._model(frames[None], torch.tensor([len(frames)]))
        result: NDArray[np.float32] = output[:, 0].numpy()
        return result
