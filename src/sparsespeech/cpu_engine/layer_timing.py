"""Ways to pack one model, timed in turn, layer by layer.

Axes: T frames, W inputs of one window.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.cpu_engine.packed_cache import Choice, Choices

UTTERANCE_FRAMES = 50  # one second
FEW_FRAMES = 4  # so few go through the layers one by one, as in a stream
SMALLEST_GAIN = 0.02  # of a layer's time, that makes a choice worth keeping
_LEAST_ROUNDS, _MOST_ROUNDS = 3, 200


def layer_of(matrix: Mapping[str, Any]) -> str:
    """Name of the layer of an entry of ``CpuExecutor.matrices``."""
    return str(matrix["name"]).split(".")[0]


@dataclass
class Candidate:
    """One way to pack a model, and the least seconds that each layer took."""

    executor: CpuExecutor
    layers: Choices = field(default_factory=dict)  # what its layers were packed with
    utterance: dict[str, float] = field(default_factory=dict)
    few: dict[str, float] = field(default_factory=dict)

    def run(self, windows: NDArray[np.uint8]) -> None:
        """Time one utterance and a few frames, of windows uint8[UTTERANCE_FRAMES, W]."""
        for frames, best in ((UTTERANCE_FRAMES, self.utterance), (FEW_FRAMES, self.few)):
            for layer, seconds in self.executor.run_timed(windows[:frames])[1]:
                best[layer] = min(best.get(layer, seconds), seconds)

    def forms(self, layer: str) -> list[tuple[object, ...]]:
        """How the matrices of a layer are packed."""
        return [
            (matrix["name"], matrix["form"], matrix["bytes"], matrix["slots_per_nonzero"])
            for matrix in self.executor.matrices
            if layer_of(matrix) == layer
        ]

    @property
    def seconds(self) -> float:
        """Least time of one utterance, summed over the layers."""
        return sum(self.utterance.values())


def time_candidates(candidates: Sequence[Candidate], seconds: float, seed: int) -> None:
    """Run all in turn for about ``seconds``, so that a disturbance meets all alike."""
    shape = (UTTERANCE_FRAMES, candidates[0].executor.inputs)
    windows = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    end = time.perf_counter() + seconds
    for rounds in range(_MOST_ROUNDS):
        if rounds >= _LEAST_ROUNDS and time.perf_counter() > end:
            return
        for candidate in candidates:
            candidate.run(windows)


def best_choice(candidates: Sequence[Candidate], layer: str) -> Choice:
    """What the candidate that runs ``layer`` fastest packed it with.

    Nothing unless that one beats the first candidate clearly, and by packing otherwise. An
    utterance and a few frames count alike: there are other kernels for few frames.
    """
    first = candidates[0]

    def cost(candidate: Candidate) -> float:
        return (
            candidate.utterance[layer] / first.utterance[layer]
            + candidate.few[layer] / first.few[layer]
        )

    fastest = min(candidates, key=cost)
    clear = cost(fastest) < 2 * (1 - SMALLEST_GAIN)
    return fastest.layers[layer] if clear and fastest.forms(layer) != first.forms(layer) else {}
