"""An executor that hears one given text in everything, and sound that passes for speech."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.model import IntegerModel, OutputLayer


class ScriptedExecutor:
    """Spells ``text`` evenly over the frames, one frame a character, blanks between them.

    Like an executor it knows nothing but the model and the windows.
    """

    def __init__(self, model: IntegerModel, text: str) -> None:
        self._classes = [model.labels.index(character) for character in text]
        self._blank = len(model.labels)
        self._names = [layer.name for layer in model.layers]
        output = model.layers[-1]
        assert isinstance(output, OutputLayer)
        self._peak = round(12.0 / float(output.scale[0]))  # 12 nats above the other classes

    def run(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
        frames = len(windows)
        logits = np.zeros((frames, self._blank + 1), dtype=np.int64)
        best = np.full(frames, self._blank)
        step = frames / max(1, len(self._classes))
        for number, character in enumerate(self._classes):
            best[int(number * step)] = character
        logits[np.arange(frames), best] = self._peak
        return logits

    def run_timed(
        self, windows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], list[tuple[str, float]]]:
        return self.run(windows), [(name, 0.0) for name in self._names]


def babble(seconds: float, *, seed: int = 1, rate: int = 16_000) -> NDArray[np.float64]:
    """Noise that swells and fades five times a second, as speech does."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).normal(0, 0.1, time.size)
    return noise * (0.02 + np.sin(np.pi * 5 * time) ** 2)
