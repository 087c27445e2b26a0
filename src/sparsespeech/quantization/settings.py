"""The recipe section ``fixed_point``: when fixed-point retraining runs, and with how many bits."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from sparsespeech.errors import ConversionError
from sparsespeech.quantization.precision import Precision, check_bits
from sparsespeech.training.recipe_section import RecipeSection, Share


class FixedPoint(RecipeSection):
    """Fixed-point retraining (ESE/DDESE deck); ``start`` and ``freeze`` are shares of all steps.

    From ``start`` on the network computes with quantized weights and activations; ranges of
    activations follow the batches until ``freeze`` and stay fixed from then on. Bits are those of
    ``sparsespeech quantize``: 8 and 8, or wide mode, 12 or 16 and 16.
    """

    start: Share = 0.8
    freeze: Share = 0.9
    weight_bits: Literal[8, 12, 16] = 8
    activation_bits: Literal[8, 16] = 8
    per_row: bool = False

    @property
    def precision(self) -> Precision:
        """The bits, as conversion takes them."""
        return Precision(self.weight_bits, self.activation_bits, self.per_row)

    def first_steps(self, steps: int) -> tuple[int, int]:
        """First step with fake-quantize and first step with fixed ranges, of ``steps``."""
        return round(self.start * steps), round(self.freeze * steps)

    def check_run(self, steps: int) -> None:
        """Raise ValueError where a run of ``steps`` has no step in which ranges are observed."""
        first, frozen = self.first_steps(steps)
        if not first < frozen:
            raise ValueError(
                f"fixed_point.start {self.start} and fixed_point.freeze {self.freeze} are both "
                f"step {first} of {steps}: ranges are observed in between, in one step at least; "
                f"move them apart or raise optimizer.steps"
            )

    @model_validator(mode="after")
    def _consistent(self) -> FixedPoint:
        if not self.start < self.freeze:
            raise ValueError(
                f"fixed_point.start {self.start} must be below fixed_point.freeze {self.freeze}: "
                "ranges are observed in between"
            )
        try:
            check_bits(self.weight_bits, self.activation_bits)
        except ConversionError as error:
            raise ValueError(f"fixed_point: {error}") from None
        return self
