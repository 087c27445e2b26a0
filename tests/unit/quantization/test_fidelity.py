"""Noise figures against numbers worked out by hand, and what they must show of real models."""

import numpy as np
import pytest
import torch

from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import calibrate
from sparsespeech.quantization.convert import convert
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.fidelity import Fidelity, SignalToNoise, compare
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint

LAYERS = ["input", "layer1", "layer2", "layer3", "layer4", "layer5", "layer6"]


def test_ratio_of_energies_over_all_tensors() -> None:
    ratio = SignalToNoise()
    ratio.add(torch.tensor([3.0, 4.0]), torch.tensor([3.0, 4.5]))
    ratio.add(torch.tensor([[5.0]]), torch.tensor([[5.0]]))
    assert ratio.decibel() == pytest.approx(10 * np.log10(50 / 0.25))


def test_silence_and_exactness_have_no_ratio() -> None:
    ratio = SignalToNoise()
    ratio.add(torch.ones(3), torch.ones(3))
    assert ratio.decibel() is None
    silent = SignalToNoise()
    silent.add(torch.zeros(3), torch.ones(3))
    assert silent.decibel() is None


@pytest.mark.parametrize("precision", [EIGHT_BIT, Precision(per_row=True)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_integer_model_stays_close_to_its_float_model(
    bidirectional: bool, precision: Precision
) -> None:
    """About 6 dB a bit: inputs near 38 dB, and no layer loses more than a few dB."""
    found = _fidelity(bidirectional, precision, 1.0)
    assert (found.utterances, found.frames) == (2, 50)
    assert list(found.sqnr_db) == LAYERS
    assert found.differing_logits == 0
    ratios = [ratio for ratio in found.sqnr_db.values() if ratio is not None]
    assert len(ratios) == len(LAYERS) and min(ratios) > 25
    assert found.argmax_changed < 0.15


def test_a_range_calibrated_on_whispers_shows_as_noise() -> None:
    assert (_fidelity(True, EIGHT_BIT, 0.05).sqnr_db["input"] or 0) < 10


def test_each_wider_choice_is_nearer_to_the_float_model() -> None:
    """Ranges that clip nothing: only the bits differ."""
    choices = [EIGHT_BIT, Precision(12, 16), Precision(16, 16)]
    logits = [_fidelity(True, choice, 3.0).sqnr_db["layer6"] or 0 for choice in choices]
    assert logits[0] + 15 < logits[1] and logits[1] + 2 < logits[2]
    assert all(_fidelity(True, choice, 3.0).differing_logits == 0 for choice in choices)


def _fidelity(bidirectional: bool, precision: Precision, loudness: float) -> Fidelity:
    checkpoint = random_checkpoint(
        5, hidden=24, bidirectional=bidirectional, coefficients=26, labels=28, sparsity=0.8
    )
    frames = [np.random.default_rng(seed).normal(0, 1, (25, 26)) for seed in range(2)]
    network = build_model(checkpoint)
    calibration = calibrate(network, [loudness * part for part in frames])
    model = convert(checkpoint, calibration, precision).model
    emulation = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 1, calibration, precision)
    utterances = [*frames, np.zeros((0, 26))]
    return compare(network, emulation, ReferenceExecutor(model), utterances)
