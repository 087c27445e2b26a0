"""The numpy reference with the interface of the CPU engine, for tests of what measures engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.statistics import layer_matrices


@dataclass
class ReferenceSession:
    """Everything heard so far: the whole utterance is computed again for each chunk."""

    windows: list[NDArray[np.uint8]] = field(default_factory=list)


class ReferenceEngine:
    """``wrong`` is added to the first logit of every result: a defect that must be found."""

    def __init__(
        self,
        model: IntegerModel,
        *,
        threads: int,
        instruction_set: str | None = None,
        options: Mapping[str, object] | None = None,
        wrong: int = 0,
    ) -> None:
        self.threads = threads
        self.instruction_set = instruction_set or "scalar"
        self.options = dict(options or {})
        self.wrong = wrong
        self._model = model
        self._executor = ReferenceExecutor(model)

    @property
    def matrices(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name.removesuffix(".weights").removesuffix("_weights"),
                "form": "quad",
                "rows": matrix.shape[0],
                "columns": matrix.shape[1],
                "nonzeros": matrix.nonzeros,
                "bytes": 3 * matrix.nonzeros,
                "slots_per_nonzero": 0.0,
            }
            for layer in self._model.layers
            for name, matrix in layer_matrices(layer)
        ]

    @property
    def packed_bytes(self) -> int:
        return sum(matrix["bytes"] for matrix in self.matrices)

    def run(self, windows: NDArray[np.uint8]) -> NDArray[np.int64]:
        return self.run_timed(windows)[0]

    def run_timed(
        self, windows: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], list[tuple[str, float]]]:
        logits, times = self._executor.run_timed(windows)
        logits = logits.copy()
        logits.reshape(-1)[:1] += self.wrong
        return logits, times

    def run_batch(self, utterances: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.int64]]:
        return [self.run(windows) for windows in utterances]

    def stream(self) -> ReferenceSession:
        return ReferenceSession()

    def step_sessions(
        self, sessions: Sequence[ReferenceSession], chunks: Sequence[NDArray[np.uint8]]
    ) -> list[NDArray[np.int64]]:
        results = []
        for session, chunk in zip(sessions, chunks, strict=True):
            session.windows.append(chunk)
            results.append(self.run(np.concatenate(session.windows))[-len(chunk) :])
        return results
