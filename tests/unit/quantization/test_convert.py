"""Conversion against exact fractions and plain loops."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from sparsespeech.model_file.model import (
    IntegerModel,
    LinearLayer,
    LstmLayer,
    OutputLayer,
    Requantizer,
    SparseMatrix,
)
from sparsespeech.model_file.validate import validate_model
from sparsespeech.quantization.calibrate import Calibration, calibrate
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.plain_conversion import plain_conversion
from tests.random_checkpoints import random_checkpoint, random_frames

HALF = Fraction(1, 2) + Fraction(1, 10**6)  # a rounding, and float64 noise of the quotient
MATRICES = {
    "layer1.weights": "layer1.weight",
    "layer2.weights": "layer2.weight",
    "layer3.weights": "layer3.weight",
    "layer4.forward.input_weights": "layer4.directions.0.weight_ih",
    "layer4.forward.recurrent_weights": "layer4.directions.0.weight_hh",
    "layer4.backward.input_weights": "layer4.directions.1.weight_ih",
    "layer4.backward.recurrent_weights": "layer4.directions.1.weight_hh",
    "layer5.weights": "layer5.weight",
    "layer6.weights": "layer6.weight",
}


@dataclasses.dataclass(frozen=True)
class Case:
    checkpoint: Checkpoint
    calibration: Calibration
    conversion: Conversion
    precision: Precision

    @property
    def per_row(self) -> bool:
        return self.precision.per_row

    @property
    def largest_weight(self) -> int:
        return {8: 127, 12: 2047, 16: 32767}[self.precision.weight_bits]

    @property
    def lstm_output(self) -> tuple[Fraction, int]:
        """m of R8 as h: scale and zero point."""
        return (Fraction(1, 32768), 0) if self.precision.wide else (Fraction(1, 127), 128)

    def scale(self, matrix: str, row: int) -> Fraction:
        """R1 by exact division."""
        values = np.abs(self.checkpoint.weights[MATRICES[matrix]].double().numpy())
        chosen = values[row] if self.per_row and values[row].any() else values
        if self.per_row and not values[row].any():
            chosen = values.max(axis=1)
        return Fraction(float(chosen.max())) / self.largest_weight


@pytest.fixture(
    scope="module",
    params=[
        EIGHT_BIT,
        Precision(per_row=True),
        Precision(12, 16),
        Precision(16, 16, per_row=True),
    ],
    ids=lambda precision: precision.label,
)
def case(request: pytest.FixtureRequest) -> Case:
    checkpoint = random_checkpoint(3, hidden=5)
    checkpoint.weights["layer5.weight"][2, :4] = 1e-5  # rounded to 0 in both modes
    calibration = calibrate(build_model(checkpoint), [random_frames(0, 30)])
    conversion = convert(checkpoint, calibration, request.param)
    validate_model(conversion.model)
    return Case(checkpoint, calibration, conversion, request.param)


def test_weights_are_rounded_quotients_and_zeros_are_not_stored(case: Case) -> None:
    matrices = _matrices(case.conversion.model)
    assert list(matrices) == list(MATRICES)
    for name, source in MATRICES.items():
        real = case.checkpoint.weights[source].double().numpy()
        integers = _dense(matrices[name])
        for row, column in np.ndindex(*real.shape):
            w, q = float(real[row, column]), int(integers[row, column])
            assert abs(Fraction(w) / case.scale(name, row) - q) <= HALF
            assert w != 0 or q == 0
        assert np.abs(integers).max() == case.largest_weight  # never -128
        stored = matrices[name].value
        assert stored.dtype == (np.int16 if case.precision.wide else np.int8)
        assert (stored != 0).all()


def test_facts_count_stored_and_vanished_weights(case: Case) -> None:
    for facts in case.conversion.matrices:
        real = case.checkpoint.weights[MATRICES[facts.name]].numpy()
        integers = _dense(_matrices(case.conversion.model)[facts.name])
        assert facts.shape == real.shape
        assert facts.nonzeros == (integers != 0).sum()
        assert facts.vanished == ((real != 0) & (integers == 0)).sum()
        scales = [case.scale(facts.name, row) for row in range(len(real) if case.per_row else 1)]
        assert facts.scale.tolist() == [float(scale) for scale in scales]
    vanished = {facts.name: facts.vanished for facts in case.conversion.matrices}
    assert vanished["layer5.weights"] >= 4


def test_activations_of_one_layer_are_the_input_of_the_next(case: Case) -> None:
    """R3, R4: bias, ratio and clamp of each clipped layer and of the output layer."""
    activations = _activations(case)
    largest, limit = (32768, 2**47) if case.precision.wide else (255, 2**31)
    highest = 32767 if case.precision.wide else 255
    for number, layer in enumerate(case.conversion.model.layers):
        if isinstance(layer, LstmLayer):
            continue
        x_scale, x_zero = activations[number]
        integers = _dense(layer.weights)
        real_bias = case.checkpoint.weights[f"{layer.name}.bias"].tolist()
        for row, folded in enumerate(layer.bias.tolist()):
            accumulator_scale = case.scale(f"{layer.name}.weights", row) * x_scale
            rest = folded + x_zero * int(integers[row].sum())
            assert abs(rest - Fraction(real_bias[row]) / accumulator_scale) <= HALF
            assert np.abs(integers[row]).sum() * largest + abs(folded) < limit
            if isinstance(layer, LinearLayer):
                y_scale, _ = activations[number + 1]
                _assert_ratio(layer.requantize, row, accumulator_scale / y_scale)
            else:
                assert isinstance(layer, OutputLayer)
                scale = layer.scale[row if case.per_row else 0]
                assert scale == np.float32(float(accumulator_scale))
        if isinstance(layer, LinearLayer):
            y_scale, y_zero = activations[number + 1]
            assert layer.output_zero_point == layer.low == y_zero
            assert layer.high == min(highest, y_zero + math.floor(20 / y_scale + Fraction(1, 2)))


def test_lstm_carries_both_biases_and_its_own_scales(case: Case) -> None:
    """R3, R5, R10: Q4.11 gates, h with its fixed scale and zero point."""
    h_scale, h_zero = case.lstm_output
    (number,) = (
        n for n, layer in enumerate(case.conversion.model.layers) if isinstance(layer, LstmLayer)
    )
    layer = case.conversion.model.layers[number]
    assert isinstance(layer, LstmLayer)
    x_scale, x_zero = _activations(case)[number]
    for index, direction in enumerate((layer.forward, layer.backward)):
        assert direction is not None
        name = f"layer4.{('forward', 'backward')[index]}"
        inputs, recurrent = _dense(direction.input_weights), _dense(direction.recurrent_weights)
        biases = [
            case.checkpoint.weights[f"layer4.directions.{index}.bias_{part}"].tolist()
            for part in ("ih", "hh")
        ]
        for row in range(len(inputs)):
            scale = case.scale(f"{name}.input_weights", row) * x_scale
            rest = int(direction.input_bias[row]) + x_zero * int(inputs[row].sum())
            real = Fraction(biases[0][row]) + Fraction(biases[1][row])
            assert abs(rest - real / scale) <= HALF
            _assert_ratio(direction.input_requantize, row, scale * 2048)
            assert direction.recurrent_bias[row] == -h_zero * recurrent[row].sum()
            _assert_ratio(
                direction.recurrent_requantize,
                row,
                case.scale(f"{name}.recurrent_weights", row) * h_scale * 2048,
            )


def test_one_requantizer_and_logit_scale_a_row_only_if_asked(case: Case) -> None:
    for layer in case.conversion.model.layers:
        if isinstance(layer, LinearLayer):
            rows = layer.weights.shape[0] if case.per_row else 1
            assert layer.requantize.multiplier.size == layer.requantize.shift.size == rows
        if isinstance(layer, OutputLayer):
            assert layer.scale.size == (layer.weights.shape[0] if case.per_row else 1)


def test_the_model_carries_input_labels_features_and_facts(case: Case) -> None:
    model, checkpoint = case.conversion.model, case.checkpoint
    assert np.array_equal(model.input.mean, checkpoint.mean)
    assert np.array_equal(model.input.deviation, checkpoint.deviation)
    scale, zero_point = _activations(case)[0]
    assert model.input.scale == pytest.approx(float(scale), rel=1e-15)
    assert model.input.zero_point == zero_point
    assert model.activation_bits == case.precision.activation_bits
    assert model.labels == checkpoint.labels
    assert model.features == checkpoint.features.to_json()
    assert model.training == {**checkpoint.facts, "step": 7}
    assert model.quantization is not None
    scales = model.quantization["weight_scale_ranges" if case.per_row else "weight_scales"]
    assert list(scales) == list(MATRICES)
    assert model.quantization["weight_bits"] == case.precision.weight_bits


def test_the_clamp_starts_at_the_zero_point_and_ends_at_the_clip() -> None:
    """A range of -10 to 41 has scale 0.2 and zero point 50; 20 is 100 steps above it."""
    wide = {"layer2": ActivationRange(-10.0, 41.0)}
    layer = plain_conversion(random_checkpoint(), wide).model.layers[1]
    assert isinstance(layer, LinearLayer)
    assert (layer.output_zero_point, layer.low, layer.high) == (50, 50, 150)


def test_a_negative_zero_of_a_pruned_weight_is_a_zero() -> None:
    checkpoint = random_checkpoint(sparsity=0.0)
    checkpoint.weights["layer2.weight"][0] = -0.0
    conversion = plain_conversion(checkpoint)
    assert _matrices(conversion.model)["layer2.weights"].row_start[1] == 0
    (facts,) = (facts for facts in conversion.matrices if facts.name == "layer2.weights")
    assert facts.vanished == 64 - 8 - facts.nonzeros


def test_a_unidirectional_model_has_no_backward_direction() -> None:
    layer = plain_conversion(random_checkpoint(bidirectional=False)).model.layers[3]
    assert isinstance(layer, LstmLayer) and layer.backward is None


@pytest.mark.parametrize("precision", [EIGHT_BIT, Precision(12, 16, per_row=True)])
def test_projection_and_peephole_by_exact_division(precision: Precision) -> None:
    """R5, R8, R13: one scale for three peephole vectors; the projection's own range is fed back."""
    checkpoint = random_checkpoint(
        2, hidden=4, sparsity=0.0, lstm={"projection": 3, "peephole": True, "merge": "sum"}
    )
    calibration = calibrate(build_model(checkpoint), [random_frames(0, 30)])
    conversion = convert(checkpoint, calibration, precision)
    validate_model(conversion.model)
    case = Case(checkpoint, calibration, conversion, precision)
    output = calibration.outputs["layer4"]
    low, high = Fraction(min(output.minimum, 0.0)), Fraction(max(output.maximum, 0.0))
    y_scale = max(-low, high) / 32767 if precision.wide else (high - low) / 255
    y_zero = 0 if precision.wide else math.floor(-low / y_scale + Fraction(1, 2))
    m_scale, m_zero = case.lstm_output
    layer = conversion.model.layers[3]
    assert isinstance(layer, LstmLayer) and layer.merge == "sum"
    for number, direction in enumerate((layer.forward, layer.backward)):
        assert direction is not None
        projection, peephole = direction.projection, direction.peephole
        assert projection is not None and peephole is not None
        source = f"layer4.directions.{number}"
        real = checkpoint.weights[f"{source}.peephole"].double().numpy()
        scale = Fraction(float(np.abs(real).max())) / 32767
        for gate, cell in np.ndindex(*real.shape):
            quotient = Fraction(float(real[gate, cell])) / scale
            assert abs(quotient - int(peephole.weights[gate, cell])) <= HALF
        _assert_ratio(peephole.requantize, 0, scale)
        integers = _dense(projection.weights)
        matrix = checkpoint.weights[f"{source}.weight_projection"].double().numpy()
        for row in range(3):
            largest = np.abs(matrix[row] if precision.per_row else matrix).max()
            scale = Fraction(float(largest)) / case.largest_weight
            assert projection.bias[row] == -m_zero * integers[row].sum()
            _assert_ratio(projection.requantize, row, scale * m_scale / y_scale)
            quotients = [Fraction(float(w)) / scale for w in matrix[row]]
            for quotient, integer in zip(quotients, integers[row].tolist(), strict=True):
                assert abs(quotient - integer) <= HALF
        assert projection.output_zero_point == y_zero
        recurrent = _dense(direction.recurrent_weights)
        assert (direction.recurrent_bias == -y_zero * recurrent.sum(axis=1)).all()
        weights = checkpoint.weights[f"{source}.weight_hh"].double().numpy()
        for row in range(16):
            largest = np.abs(weights[row] if precision.per_row else weights).max()
            scale = Fraction(float(largest)) / case.largest_weight
            _assert_ratio(direction.recurrent_requantize, row, scale * y_scale * 2048)
    names = [facts.name for facts in conversion.matrices]
    assert "layer4.backward.projection.weights" in names


def test_a_dead_peephole_is_no_error() -> None:
    checkpoint = random_checkpoint(lstm={"peephole": True})
    checkpoint.weights["layer4.directions.0.peephole"].zero_()
    validate_model(plain_conversion(checkpoint).model)


def _activations(case: Case) -> list[tuple[Fraction, int]]:
    """Scale and zero point of the input of each layer by R2, in exact arithmetic."""
    ranges: list[Any] = [case.calibration.input, *case.calibration.outputs.values()]
    found = []
    for observed in ranges:
        low = min(Fraction(observed.minimum), Fraction(0))
        high = max(Fraction(observed.maximum), Fraction(0))
        if case.precision.wide:
            found.append((max(-low, high) / 32767, 0))
            continue
        scale = (high - low) / 255
        found.append((scale, math.floor(-low / scale + Fraction(1, 2))))
    return [*found[:4], case.lstm_output, *found[4:]]


def _assert_ratio(requantizer: Requantizer, row: int, ratio: Fraction) -> None:
    """R13: M in [2^15, 2^16) and M / 2^s nearest to ``ratio``."""
    index = row if requantizer.multiplier.size > 1 else 0
    multiplier, shift = int(requantizer.multiplier[index]), int(requantizer.shift[index])
    assert 2**15 <= multiplier < 2**16
    assert abs(Fraction(multiplier) - ratio * 2**shift) <= HALF


def _matrices(model: IntegerModel) -> dict[str, SparseMatrix]:
    found = {}
    for layer in model.layers:
        if isinstance(layer, LstmLayer):
            assert layer.backward is not None
            for name, direction in (("forward", layer.forward), ("backward", layer.backward)):
                found[f"{layer.name}.{name}.input_weights"] = direction.input_weights
                found[f"{layer.name}.{name}.recurrent_weights"] = direction.recurrent_weights
        else:
            found[f"{layer.name}.weights"] = layer.weights
    return found


def _dense(matrix: SparseMatrix) -> np.ndarray[Any, np.dtype[np.int64]]:
    dense = np.zeros(matrix.shape, dtype=np.int64)
    for row in range(matrix.shape[0]):
        for entry in range(matrix.row_start[row], matrix.row_start[row + 1]):
            dense[row, matrix.column[entry]] = matrix.value[entry]
    return dense


def test_dense_of_a_known_matrix() -> None:
    """The oracle's own check."""
    matrix = SparseMatrix(
        (2, 3), np.array([0, 1, 3]), np.array([2, 0, 1], np.int32), np.array([5, -6, 7], np.int8)
    )
    assert torch.tensor(_dense(matrix)).tolist() == [[0, 0, 5], [-6, 7, 0]]
