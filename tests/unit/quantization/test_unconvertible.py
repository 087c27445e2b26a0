"""Networks that the integer arithmetic cannot hold, refused with layer and row."""

import dataclasses

import pytest

from sparsespeech.errors import ConversionError
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.quantization.precision import Precision
from tests.plain_conversion import plain_conversion
from tests.random_checkpoints import random_checkpoint


def test_a_bias_beyond_the_accumulator_is_refused_with_its_row() -> None:
    checkpoint = random_checkpoint()
    checkpoint.weights["layer5.bias"][3] = 1e9
    with pytest.raises(ConversionError, match=r"layer5, row 3: .*R3"):
        plain_conversion(checkpoint)
    checkpoint.weights["layer5.bias"][3] = 1e30
    with pytest.raises(ConversionError, match=r"layer5: bias of row 3"):
        plain_conversion(checkpoint)


def test_a_multiplier_outside_its_range_is_refused_with_layer_and_row() -> None:
    checkpoint = random_checkpoint()
    narrow = {"layer2": ActivationRange(0.0, 1e-7)}
    with pytest.raises(ConversionError, match="layer2: requantization ratio"):
        plain_conversion(checkpoint, narrow)
    checkpoint.weights["layer2.weight"][4] *= 1e-13
    checkpoint.weights["layer2.bias"][4] = 0.0
    with pytest.raises(ConversionError, match="layer2, row 4: requantization ratio"):
        plain_conversion(checkpoint, precision=Precision(per_row=True))


def test_a_rescaled_accumulator_beyond_its_bound_is_refused() -> None:
    """A legal multiplier is not enough: here R4'(acc) could leave 2^30."""
    checkpoint = random_checkpoint()
    checkpoint.weights["layer2.bias"][1] = 2e4
    with pytest.raises(ConversionError, match=r"layer2, row 1: .*R4"):
        plain_conversion(checkpoint, {"layer2": ActivationRange(0.0, 2e-3)})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused_by_name(value: float) -> None:
    checkpoint = random_checkpoint()
    checkpoint.weights["layer4.directions.1.weight_hh"][2, 3] = value
    with pytest.raises(ConversionError, match=r"layer4\.backward\.recurrent_weights: .*\(2, 3\)"):
        plain_conversion(checkpoint)


def test_a_bias_that_is_not_finite_is_refused_by_name() -> None:
    checkpoint = random_checkpoint()
    checkpoint.weights["layer4.directions.0.bias_hh"][2] = float("nan")
    with pytest.raises(ConversionError, match=r"layer4\.forward\.input: bias of row 2"):
        plain_conversion(checkpoint)


def test_labels_must_fit_the_output_layer() -> None:
    checkpoint = dataclasses.replace(random_checkpoint(labels=3), labels=("a", "b"))
    with pytest.raises(ConversionError, match="3 classes"):
        plain_conversion(checkpoint)


def test_a_peephole_beyond_its_bound_is_refused() -> None:
    checkpoint = random_checkpoint(lstm={"peephole": True})
    checkpoint.weights["layer4.directions.1.peephole"][2, 1] = 32767.5  # its term reaches 2^30
    with pytest.raises(ConversionError, match=r"layer4\.backward\.peephole: .*R5 allows"):
        plain_conversion(checkpoint)
    checkpoint.weights["layer4.directions.1.peephole"][2, 1] = 1e10
    with pytest.raises(ConversionError, match=r"layer4\.backward\.peephole: .*R4 allows"):
        plain_conversion(checkpoint)


@pytest.mark.parametrize("bits", [(8, 16), (12, 8), (16, 8), (4, 8), (12, 12)])
def test_bits_that_no_rule_defines_are_refused(bits: tuple[int, int]) -> None:
    with pytest.raises(ConversionError, match="8 and 8, 12 and 16, 16 and 16"):
        Precision(*bits)
