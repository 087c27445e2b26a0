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
FEW_FRAMES = 4  # so few go through the layers one by one, as a small chunk of a stream
SMALLEST_GAIN = 0.02  # of a layer's time, that makes a choice worth keeping
HALVES = (0, 1)
_LEAST_ROUNDS, _MOST_ROUNDS = 4, 200
_RUNS_OF_A_TURN = 2  # the threads of the executor before still spin through part of the first


def layer_of(matrix: Mapping[str, Any]) -> str:
    """Name of the layer of an entry of ``CpuExecutor.matrices``."""
    return str(matrix["name"]).split(".")[0]


@dataclass
class Candidate:
    """One way to pack a model, and the least seconds that each layer took.

    The rounds are kept in two halves, even and odd, so that a gain can be seen twice.
    """

    executor: CpuExecutor
    layers: Choices = field(default_factory=dict)  # what its layers were packed with
    # By frames of a run and half, then by layer.
    seconds: dict[tuple[int, int], dict[str, float]] = field(default_factory=dict)

    def run(self, windows: NDArray[np.uint8], half: int) -> None:
        """Time a run of windows uint8[T, W]."""
        best = self.seconds.setdefault((len(windows), half), {})
        for _ in range(_RUNS_OF_A_TURN):
            for layer, seconds in self.executor.run_timed(windows)[1]:
                best[layer] = min(best.get(layer, seconds), seconds)

    def forms(self, layer: str) -> list[tuple[object, ...]]:
        """How the matrices of a layer are packed."""
        return [
            (matrix["name"], matrix["form"], matrix["bytes"], matrix["slots_per_nonzero"])
            for matrix in self.executor.matrices
            if layer_of(matrix) == layer
        ]

    def utterance(self) -> dict[str, float]:
        """Least seconds of each layer for UTTERANCE_FRAMES."""
        first, second = (self.seconds[UTTERANCE_FRAMES, half] for half in HALVES)
        return {layer: min(seconds, second[layer]) for layer, seconds in first.items()}


def time_candidates(
    candidates: Sequence[Candidate], seconds: float, *, seed: int, streams: bool
) -> None:
    """Run all in turn for about ``seconds``, so that a disturbance meets all alike.

    Times utterances, and if the model ``streams`` a few frames too.
    """
    shape = (UTTERANCE_FRAMES, candidates[0].executor.inputs)
    windows = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    end = time.perf_counter() + seconds
    for rounds in range(_MOST_ROUNDS):
        if rounds >= _LEAST_ROUNDS and time.perf_counter() > end:
            return
        for candidate in candidates:
            candidate.run(windows, rounds % 2)
            if streams:
                candidate.run(windows[:FEW_FRAMES], rounds % 2)


def best_choice(candidates: Sequence[Candidate], layer: str) -> Choice:
    """What the candidate that runs ``layer`` fastest packed it with.

    Nothing unless that one packs it otherwise than the first candidate and beats it clearly in
    both halves of the rounds. Utterances and few frames count alike.
    """
    first = candidates[0]

    def costs(candidate: Candidate) -> list[float]:
        return [
            sum(
                seconds[layer] / first.seconds[frames, half][layer]
                for (frames, own_half), seconds in candidate.seconds.items()
                if own_half == half
            )
            for half in HALVES
        ]

    fastest = min(candidates, key=lambda candidate: sum(costs(candidate)))
    least = (1 - SMALLEST_GAIN) * costs(first)[0]
    clear = max(costs(fastest)) < least
    return fastest.layers[layer] if clear and fastest.forms(layer) != first.forms(layer) else {}
