"""How many bits weights and activations get: 8 bit, or wide mode (rules R1, R2, R10).

The arithmetic knows three pairs: int8 weights with uint8 activations, and 12- or 16-bit weights
with int16 activations.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparsespeech.errors import ConversionError

ACTIVATION_BITS = {8: 8, 12: 16, 16: 16}
"""Bits of the activations by bits of the weights."""


@dataclass(frozen=True)
class Precision:
    """Bits of weights and activations; ``per_row`` gives each row of a matrix its own scale."""

    weight_bits: int = 8
    activation_bits: int = 8
    per_row: bool = False

    def __post_init__(self) -> None:
        """Raise ConversionError for a pair that the arithmetic does not define."""
        check_bits(self.weight_bits, self.activation_bits)

    @property
    def wide(self) -> bool:
        """Whether rule R10 replaces the 8-bit forms."""
        return self.activation_bits == 16

    @property
    def label(self) -> str:
        """For tables: ``int8``, ``int8 per row``, ``12 bit``, ``16 bit per row``."""
        bits = f"{self.weight_bits} bit" if self.wide else "int8"
        return f"{bits} per row" if self.per_row else bits


def check_bits(weight_bits: int, activation_bits: int) -> None:
    """Raise ConversionError unless rule R1 or R10 defines this pair."""
    if ACTIVATION_BITS.get(weight_bits) != activation_bits:
        known = ", ".join(f"{w} and {a}" for w, a in ACTIVATION_BITS.items())
        raise ConversionError(
            f"{weight_bits}-bit weights with {activation_bits}-bit activations are not defined; "
            f"weights and activations may have {known} bits (rules R1 and R10)"
        )


def complete_bits(weight_bits: int | None, activation_bits: int | None) -> tuple[int, int]:
    """The pair of which one is given; raises ConversionError unless the arithmetic defines it.

    16-bit activations alone ask for 16-bit weights.
    """
    weights = weight_bits or (8 if activation_bits == 8 else 16)
    activations = activation_bits or ACTIVATION_BITS.get(weights, 8)
    check_bits(weights, activations)
    return weights, activations


EIGHT_BIT = Precision()
"""The form of the MAU paper: one scale a matrix."""
