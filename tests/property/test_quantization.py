"""Fake-quantize in torch and the integer arithmetic give the same integers, layer by layer.

The emulation starts from the float weights and derives everything itself, so these tests hold
converter and executors to the same rules at once.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic import lstm, operators
from sparsespeech.integer_arithmetic.lookup_tables import SigmoidTable
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel, LinearLayer, LstmLayer
from sparsespeech.model_file.validate import validate_model
from sparsespeech.quantization.calibrate import Calibration, calibrate
from sparsespeech.quantization.convert import convert
from sparsespeech.quantization.emulated_arithmetic import lstm_output_parameters
from sparsespeech.quantization.emulated_lstm import EmulatedDirection
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.quantization.precision import Precision
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


PRECISIONS = [
    Precision(weight_bits, activation_bits, per_row)
    for weight_bits, activation_bits in ((8, 8), (12, 16), (16, 16))
    for per_row in (False, True)
]
LSTMS = [
    {"projection": projection, "peephole": peephole, "merge": merge}
    for projection in (None, 3)
    for peephole in (False, True)
    for merge in ("concatenate", "sum")
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    precision=st.sampled_from(PRECISIONS),
    lstm_fields=st.sampled_from(LSTMS),
    hidden=st.integers(1, 8),
    bidirectional=st.booleans(),
    context=st.integers(0, 2),
    labels=st.integers(1, 6),
    sparsity=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    gain=st.sampled_from([0.1, 1.0, 8.0]),
    frames=st.integers(1, 8),
    lowest=st.sampled_from([0.0, -1.5]),
    widening=st.sampled_from([1.0, 3.0]),
)
def test_every_integer_of_every_layer_is_equal(
    seed: int,
    precision: Precision,
    lstm_fields: dict[str, Any],
    hidden: int,
    bidirectional: bool,
    context: int,
    labels: int,
    sparsity: float,
    gain: float,
    frames: int,
    lowest: float,
    widening: float,
) -> None:
    """Ranges below 0 and beyond the clip move both ends of the clamp of R4 inside 0..255."""
    checkpoint = random_checkpoint(
        seed,
        hidden=hidden,
        bidirectional=bidirectional,
        context=context,
        labels=labels,
        sparsity=sparsity,
        gain=gain,
        lstm=lstm_fields,
    )
    sample = [random_frames(seed + number, 20) for number in range(3)]
    calibration = calibrate(build_model(checkpoint), sample, momentum=0.9)
    calibration = replace(
        calibration,
        outputs={
            name: ActivationRange(
                min(lowest, observed.minimum), widening * max(observed.maximum, 0.0)
            )
            for name, observed in calibration.outputs.items()
        },
    )
    model = _convert(checkpoint, calibration, precision)
    validate_model(model)
    emulation = FakeQuantizedModel(
        checkpoint.graph, checkpoint.weights, context, calibration, precision
    )
    speech = emulation.windows(torch.from_numpy(random_frames(seed + 9, frames)))
    kind = np.iinfo(speech.numpy().dtype)
    assert kind.bits == precision.activation_bits
    noise = torch.from_numpy(
        np.random.default_rng(seed).integers(
            kind.min, kind.max, tuple(speech.shape), dtype=kind.dtype, endpoint=True
        )
    )
    for windows in (speech, noise):
        found = emulation.run(windows)
        expected = _layer_by_layer(model, windows.numpy())
        assert list(found) == list(expected)
        for name, integers in expected.items():
            assert np.array_equal(found[name].integers.numpy(), integers), name
        logits = ReferenceExecutor(model).run(windows.numpy())
        assert np.array_equal(found["layer6"].integers.numpy(), logits)
        assert np.array_equal(found["layer6"].scale.numpy(), model.layers[-1].scale)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.label)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_long_utterances_on_a_larger_model_are_equal(
    seed: int, bidirectional: bool, precision: Precision
) -> None:
    checkpoint = random_checkpoint(
        seed,
        hidden=96,
        bidirectional=bidirectional,
        context=9,
        coefficients=26,
        labels=28,
        sparsity=0.85,
    )
    sample = [random_frames(seed + number, 60, 26) for number in range(5)]
    calibration = calibrate(build_model(checkpoint), sample)
    model = _convert(checkpoint, calibration, precision)
    emulation = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 9, calibration, precision)
    windows = emulation.windows(torch.from_numpy(random_frames(seed + 9, 400, 26)))
    logits = ReferenceExecutor(model).run(windows.numpy())
    assert np.array_equal(emulation.run(windows)["layer6"].integers.numpy(), logits)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    cells=st.integers(1, 6),
    gain=st.sampled_from([0.1, 1.0, 8.0]),
    precision=st.sampled_from(PRECISIONS),
    lstm_fields=st.sampled_from(LSTMS),
)
def test_every_gate_input_and_cell_state_of_a_step_is_equal(
    seed: int, cells: int, gain: float, precision: Precision, lstm_fields: dict[str, Any]
) -> None:
    """From any state, not only from those that a short utterance reaches."""
    checkpoint = random_checkpoint(seed, hidden=cells, gain=gain, lstm=lstm_fields)
    calibration = calibrate(build_model(checkpoint), [random_frames(seed, 20)])
    model = _convert(checkpoint, calibration, precision)
    layer, table = _lstm_layer(model), _table(model)
    bits, wide = precision.activation_bits, precision.wide
    inputs = calibration.outputs["layer3"].parameters(bits)
    h = lstm_output_parameters(wide=wide)
    if lstm_fields["projection"]:
        h = calibration.outputs["layer4"].parameters(bits)
    low, high = (-32768, 32767) if wide else (0, 255)
    rng = np.random.default_rng(seed)
    x = rng.integers(low, high + 1, (8, 2 * cells))
    for number, direction in enumerate((layer.forward, layer.backward)):
        assert direction is not None
        emulated = EmulatedDirection(
            checkpoint.weights, f"layer4.directions.{number}", inputs, h, precision
        )
        parts = lstm.input_part(direction, x)
        assert np.array_equal(emulated.input_gates(torch.from_numpy(x).double()).numpy(), parts)
        for part in parts:
            fed_back = rng.integers(low, high + 1, direction.recurrent_weights.shape[1])
            c = rng.integers(-32768, 32768, cells)
            expected = lstm.lstm_step(
                direction, part, lstm.LstmState(fed_back, c), table, wide=wide
            )
            found_h, found_c = emulated.step(
                *(torch.from_numpy(a).double() for a in (part, fed_back, c))
            )
            assert np.array_equal(found_c.numpy(), expected.cell)
            assert np.array_equal(found_h.numpy(), expected.output)


def _convert(
    checkpoint: Checkpoint, calibration: Calibration, precision: Precision
) -> IntegerModel:
    """The integer model, if the network has one.

    A dead layer has weight scale 1 and may have no legal multiplier; a nearly dead one may have a
    range so narrow that R4 does not hold it in wide mode: no cases for these tests.
    """
    try:
        return convert(checkpoint, calibration, precision).model
    except ConversionError as error:
        assume(all(w.any() for w in checkpoint.weights.values() if w.ndim == 2))
        assume(not (precision.wide and "rule R4 allows" in str(error)))
        raise


def _layer_by_layer(model: IntegerModel, windows: np.ndarray) -> dict[str, Integers]:
    """Outputs of the loops that define the arithmetic."""
    x = windows.astype(np.int64)
    outputs = {}
    for layer in model.layers:
        if isinstance(layer, LinearLayer):
            x = operators.linear(layer, x)
        elif isinstance(layer, LstmLayer):
            x = lstm.lstm(layer, x, _table(model), wide=model.activation_bits == 16)
        else:
            x = operators.output(layer, x)
        outputs[layer.name] = x
    return outputs


def _table(model: IntegerModel) -> SigmoidTable:
    return SigmoidTable(model.tables["sigmoid_base"], model.tables["sigmoid_slope"])


def _lstm_layer(model: IntegerModel) -> LstmLayer:
    (layer,) = (layer for layer in model.layers if isinstance(layer, LstmLayer))
    return layer
