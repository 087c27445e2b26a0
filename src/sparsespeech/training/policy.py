"""What happens when a step goes wrong.

- The loss of an utterance, or the gradient, is NaN or infinite: the step is left out. Neither
  weights nor moments nor their average move, nor the ranges of fixed-point retraining; the log
  names the utterances. Several such steps in a row end the run.
  No checkpoint is written meanwhile: the cause may already be in the weights. Only a session that
  ends writes one, and then removes none of the older.
- The gradient explodes: it is clipped, as every gradient is, and the log says so.
- A text that is longer than its frames: the data set leaves the utterance out (``dataset.py``).

Decisions depend on the recipe and the run's past alone, so a resumed run makes the same ones.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

from sparsespeech.errors import TrainingError
from sparsespeech.training.incident import Incident, listed, skipped
from sparsespeech.training.recipe import Policy

REMEMBERED_NORMS = 100
NORMS_NEEDED = 20  # a median of fewer says little
_REMEDY = "resume from the last checkpoint with a lower optimizer.learning_rate"


class StepPolicy:
    """Judges each step and remembers what it needs for that."""

    def __init__(self, settings: Policy, remedy: str = _REMEDY) -> None:
        """Nothing has happened yet; ``remedy`` is what to do about a run that diverges."""
        self._settings, self._remedy = settings, remedy
        self._norms: deque[float] = deque(maxlen=REMEMBERED_NORMS)
        self.skipped_in_a_row = 0

    def skip(self, step: int, what: str, utterances: list[str]) -> Incident:
        """Note that ``step`` is left out because ``what`` (loss or gradient) is not finite.

        Raises TrainingError if that is one step too many.
        """
        self.skipped_in_a_row += 1
        settings = self._settings
        if settings.skip_non_finite and self.skipped_in_a_row < settings.stop_after_skipped:
            return skipped(what, utterances)
        raise TrainingError(
            f"step {step}: the run diverged, {self.skipped_in_a_row} skipped steps in a row; "
            f"{what} not finite: {listed(utterances)}; {self._remedy}, or take these recordings "
            f"out of the manifest"
        )

    def explosion(self, norm: float) -> float | None:
        """Take the gradient norm of a good step; the running median if ``norm`` is far above it."""
        self.skipped_in_a_row = 0
        usual = median(self._norms) if len(self._norms) >= NORMS_NEEDED else math.inf
        self._norms.append(norm)
        return usual if norm > self._settings.explosion_factor * usual else None

    def tensors(self) -> dict[str, Tensor]:
        """What a resumed run needs, for :meth:`load`."""
        return {
            "gradient_norms": torch.tensor(list(self._norms), dtype=torch.float64),
            "skipped_in_a_row": torch.tensor([self.skipped_in_a_row]),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of :meth:`tensors`."""
        self._norms = deque(tensors["gradient_norms"].tolist(), maxlen=REMEMBERED_NORMS)
        self.skipped_in_a_row = int(tensors["skipped_in_a_row"])
