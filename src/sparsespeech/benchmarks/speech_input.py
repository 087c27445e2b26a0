"""The input of the benchmarks: a second of the bundled recordings, as samples and as windows.

Axes: N samples, T frames, F coefficients, W inputs of one window.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.recording import SAMPLE_RATE_HZ
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.model_file.model import InputQuantization, IntegerModel

QUANTIZED_RANGE = 8.0  # deviations that the 255 steps of a random model's input span


@dataclass(frozen=True, eq=False)
class FrontEnd:
    """Everything between samples and uint8 windows."""

    config: MfccConfig
    quantization: InputQuantization

    @classmethod
    def of_model(cls, model: IntegerModel) -> FrontEnd:
        """The front end that ``model`` asks for."""
        return cls(MfccConfig.from_json(model.features), model.input)

    @classmethod
    def fitted(cls, config: MfccConfig, samples: NDArray[np.float32]) -> FrontEnd:
        """Mean and deviation of ``samples`` [N], zero point 128."""
        frames = extract_mfcc(samples, config)
        quantization = InputQuantization(
            mean=frames.mean(axis=0),
            deviation=np.maximum(frames.std(axis=0), 1e-3),
            scale=QUANTIZED_RANGE / 255,
            zero_point=128,
        )
        return cls(config, quantization)

    def windows(self, samples: NDArray[np.float32]) -> NDArray[np.uint8]:
        """uint8[T, W] of samples [N]: features, quantization and context, as a recogniser does."""
        frames = quantize_frames(extract_mfcc(samples, self.config), self.quantization)
        windows: NDArray[np.uint8] = context_windows(
            frames, self.config.context, self.quantization.zero_point
        )
        return windows


def bundled_recordings() -> list[NDArray[np.float32]]:
    """Samples of each bundled recording at 16 kHz."""
    manifest = Path(str(files("sparsespeech").joinpath("demo_audio", "manifest.jsonl")))
    return [
        read_audio(utterance.audio_filepath, SAMPLE_RATE_HZ).samples
        for utterance in read_manifest(manifest)
    ]


def bundled_speech(seconds: float) -> NDArray[np.float32]:
    """The bundled recordings one after the other, repeated and cut to ``seconds``; [N]."""
    speech = np.concatenate(bundled_recordings())
    return np.resize(speech, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32, copy=False)
