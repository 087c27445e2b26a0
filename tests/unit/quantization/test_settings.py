"""The recipe section of fixed-point retraining: shares of steps, bits, and what it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from sparsespeech.quantization.precision import Precision
from sparsespeech.quantization.settings import FixedPoint


def test_shares_become_steps() -> None:
    assert FixedPoint(start=0.25, freeze=0.5).first_steps(1001) == (250, 500)


def test_bits_become_a_precision() -> None:
    settings = FixedPoint(weight_bits=12, activation_bits=16, per_row=True)
    assert settings.precision == Precision(12, 16, per_row=True)
    assert FixedPoint().precision == Precision(8, 8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"start": 0.5, "freeze": 0.5}, "must be below fixed_point.freeze"),
        ({"weight_bits": 12}, "12-bit weights with 8-bit activations"),
        ({"activation_bits": 16}, "8-bit weights with 16-bit activations"),
        ({"weight_bits": 10}, "weight_bits"),
        ({"start": -0.1}, "start"),
        ({"stop": 0.5}, "stop"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FixedPoint(**values)


def test_ranges_need_a_step_to_be_observed_in() -> None:
    assert FixedPoint().first_steps(5) == (4, 4)
    FixedPoint(start=0.5, freeze=1.0).check_run(1)  # step 0, never frozen
    with pytest.raises(ValueError, match="are both step 4 of 5"):
        FixedPoint().check_run(5)
