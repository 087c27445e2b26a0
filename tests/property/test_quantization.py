"""Fake-quantize in torch and the integer arithmetic give the same integers, layer by layer.

The emulation starts from the float weights and derives everything itself, so these tests hold
converter and executors to the same rules at once.
"""

from dataclasses import replace

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
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel, lstm_cell
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames

Integers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    hidden=st.integers(1, 8),
    bidirectional=st.booleans(),
    context=st.integers(0, 2),
    labels=st.integers(1, 6),
    sparsity=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    gain=st.sampled_from([0.1, 1.0, 8.0]),
    per_row=st.booleans(),
    frames=st.integers(1, 8),
    lowest=st.sampled_from([0.0, -1.5]),
    widening=st.sampled_from([1.0, 3.0]),
)
def test_every_integer_of_every_layer_is_equal(
    seed: int,
    hidden: int,
    bidirectional: bool,
    context: int,
    labels: int,
    sparsity: float,
    gain: float,
    per_row: bool,
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
    )
    sample = [random_frames(seed + number, 20) for number in range(3)]
    calibration = calibrate(build_model(checkpoint), sample, momentum=0.9)
    calibration = replace(
        calibration,
        outputs={
            name: ActivationRange(lowest, widening * observed.maximum)
            for name, observed in calibration.outputs.items()
        },
    )
    model = _convert(checkpoint, calibration, per_row=per_row)
    validate_model(model)
    emulation = FakeQuantizedModel(
        checkpoint.graph, checkpoint.weights, context, calibration, per_row=per_row
    )
    speech = emulation.windows(torch.from_numpy(random_frames(seed + 9, frames)))
    noise = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, tuple(speech.shape)).astype(np.uint8)
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
@pytest.mark.parametrize("per_row", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_long_utterances_on_a_larger_model_are_equal(
    seed: int, bidirectional: bool, per_row: bool
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
    model = _convert(checkpoint, calibration, per_row=per_row)
    emulation = FakeQuantizedModel(
        checkpoint.graph, checkpoint.weights, 9, calibration, per_row=per_row
    )
    windows = emulation.windows(torch.from_numpy(random_frames(seed + 9, 400, 26)))
    logits = ReferenceExecutor(model).run(windows.numpy())
    assert np.array_equal(emulation.run(windows)["layer6"].integers.numpy(), logits)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    cells=st.integers(1, 6),
    gain=st.sampled_from([0.1, 1.0, 8.0]),
    per_row=st.booleans(),
)
def test_every_gate_input_and_cell_state_of_a_step_is_equal(
    seed: int, cells: int, gain: float, per_row: bool
) -> None:
    """From any state, not only from those that a short utterance reaches."""
    checkpoint = random_checkpoint(seed, hidden=cells, gain=gain)
    calibration = calibrate(build_model(checkpoint), [random_frames(seed, 20)])
    model = _convert(checkpoint, calibration, per_row=per_row)
    layer, table = _lstm_layer(model), _table(model)
    inputs = calibration.outputs["layer3"].parameters()
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (8, 2 * cells))
    for number, direction in enumerate((layer.forward, layer.backward)):
        assert direction is not None
        cell = lstm_cell(
            checkpoint.weights,
            f"layer4.directions.{number}",
            inputs.scale,
            inputs.zero_point,
            per_row=per_row,
        )
        parts = lstm.input_part(direction, x)
        assert np.array_equal(cell.input_gates(torch.from_numpy(x).double()).numpy(), parts)
        for part in parts:
            h, c = rng.integers(0, 256, cells), rng.integers(-32768, 32768, cells)
            expected = lstm.lstm_step(direction, part, lstm.LstmState(h, c), table, wide=False)
            found_h, found_c = cell.step(*(torch.from_numpy(a).double() for a in (part, h, c)))
            assert np.array_equal(found_c.numpy(), expected.cell)
            assert np.array_equal(found_h.numpy(), expected.output)


def _convert(checkpoint: Checkpoint, calibration: Calibration, *, per_row: bool) -> IntegerModel:
    """A dead layer has weight scale 1 and may have no legal multiplier: no case for these tests."""
    try:
        return convert(checkpoint, calibration, per_row=per_row).model
    except ConversionError:
        assume(all(w.any() for w in checkpoint.weights.values() if w.ndim == 2))
        raise


def _layer_by_layer(model: IntegerModel, windows: np.ndarray) -> dict[str, Integers]:
    """Outputs of the loops that define the arithmetic."""
    x = windows.astype(np.int64)
    outputs = {}
    for layer in model.layers:
        if isinstance(layer, LinearLayer):
            x = operators.linear(layer, x)
        elif isinstance(layer, LstmLayer):
            x = lstm.lstm(layer, x, _table(model), wide=False)
        else:
            x = operators.output(layer, x)
        outputs[layer.name] = x
    return outputs


def _table(model: IntegerModel) -> SigmoidTable:
    return SigmoidTable(model.tables["sigmoid_base"], model.tables["sigmoid_slope"])


def _lstm_layer(model: IntegerModel) -> LstmLayer:
    (layer,) = (layer for layer in model.layers if isinstance(layer, LstmLayer))
    return layer
