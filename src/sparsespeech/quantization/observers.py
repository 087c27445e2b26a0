"""Observed ranges of activations (rule R2; S2 equation 2).

A moving average of minimum and maximum, one term an utterance. One loud recording moves it a
little, where a plain minimum and maximum would spend most of the 256 steps on that recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.errors import ConversionError, NotFiniteError
from sparsespeech.integer_arithmetic.fixed_point import ActivationParameters, activation_parameters

DEFAULT_MOMENTUM = 0.99


@dataclass(frozen=True)
class ActivationRange:
    """Smallest and largest value to represent, in the units of the activation."""

    minimum: float
    maximum: float

    def parameters(self, bits: int = 8) -> ActivationParameters:
        """R2: scale and zero point of the uint8 form, the range widened to hold 0.

        ``bits`` 16: the int16 form of wide mode (R10), zero point 0.
        """
        return activation_parameters(self.minimum, self.maximum, bits=bits)


class MovingAverageObserver:
    """Exponential moving average of the minimum and the maximum of each observed tensor.

    After t tensors with maxima x_1 .. x_t the maximum is
    ``sum m^(t-k) (1-m) x_k / (1 - m^t)``: the division removes the bias towards the start, so
    the weights of the terms add up to 1 for any t. The minimum likewise.
    """

    def __init__(self, momentum: float = DEFAULT_MOMENTUM) -> None:
        """``momentum`` m in [0, 1): 0 keeps only the last tensor, near 1 is the plain mean.

        Raises ValueError for another momentum.
        """
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), got {momentum}")
        self._momentum = momentum
        self._minimum = 0.0
        self._maximum = 0.0
        self._weight = 0.0
        self.count = 0  # terms of the average so far

    def observe(self, values: Tensor) -> None:
        """Take one tensor of any shape into the average; an empty one changes nothing.

        Raises NotFiniteError if a value is not finite.
        """
        if values.numel() == 0:
            return
        low, high = (float(end) for end in values.aminmax())
        self.observe_range(low, high)

    def observe_range(self, low: float, high: float) -> None:
        """Take the smallest and the largest value of one tensor into the average.

        Raises NotFiniteError if one is not finite.
        """
        if not (abs(low) < float("inf") and abs(high) < float("inf")):  # also true for NaN
            raise NotFiniteError("an activation is not finite; the training run has diverged")
        keep, take = self._momentum, 1.0 - self._momentum
        self._minimum = keep * self._minimum + take * low
        self._maximum = keep * self._maximum + take * high
        self._weight = keep * self._weight + take
        self.count += 1

    def range(self) -> ActivationRange:
        """The averages so far; raises ConversionError if nothing was observed."""
        if self._weight == 0.0:
            raise ConversionError(
                "no activation was observed; calibrate on recordings that are "
                "long enough to have a frame"
            )
        return ActivationRange(self._minimum / self._weight, self._maximum / self._weight)

    def state(self) -> Tensor:
        """What a resumed run needs: float64[4] for :meth:`restore`."""
        values = (self._minimum, self._maximum, self._weight, float(self.count))
        return torch.tensor(values, dtype=torch.float64)

    def restore(self, state: Tensor) -> None:
        """Go on from the float64[4] of :meth:`state`; raises ValueError for another shape."""
        if state.shape != (4,):
            raise ValueError(f"an observer's state is float64[4], got shape {tuple(state.shape)}")
        self._minimum, self._maximum, self._weight, count = state.double().tolist()
        self.count = int(count)
