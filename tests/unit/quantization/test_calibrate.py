"""Calibration: which utterances, which ranges, which errors."""

import dataclasses

import numpy as np
import pytest
import torch

from sparsespeech.errors import CheckpointError, ConversionError
from sparsespeech.graph import Conv2d, Graph, Output
from sparsespeech.quantization.calibrate import (
    calibrate,
    choose_utterances,
    layer_outputs,
)
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.training.float_recogniser import build_model
from tests.random_checkpoints import random_checkpoint, random_frames


def test_the_choice_depends_on_the_seed_only() -> None:
    names = [f"utterance {number}" for number in range(1000)]
    first = choose_utterances(names, 100, seed=1)
    assert first == choose_utterances(names, 100, seed=1)
    assert first != choose_utterances(names, 100, seed=2)
    assert len(set(first)) == 100
    assert sorted(choose_utterances(names, 5000, seed=3)) == sorted(names)


def test_layer_outputs_are_those_of_a_forward_pass_by_hand() -> None:
    checkpoint = random_checkpoint(hidden=6, context=2)
    frames = random_frames(1, 9)
    found = layer_outputs(build_model(checkpoint), frames)
    padded = np.zeros((9 + 4, 5))
    padded[2:11] = frames
    x = np.stack([padded[t : t + 5].ravel() for t in range(9)])
    for name in ("layer1", "layer2", "layer3"):
        weight, bias = (
            checkpoint.weights[f"{name}.{part}"].double().numpy() for part in ("weight", "bias")
        )
        x = np.clip(x @ weight.T + bias, 0, 20)
        np.testing.assert_allclose(found[name].numpy(), x, rtol=1e-4, atol=1e-5)
    assert found["layer4"].shape == (9, 12)
    assert found["layer6"].shape == (9, 4)
    assert not np.allclose(found["layer6"].exp().sum(1), 1)  # logits, not probabilities


def test_ranges_are_moving_averages_of_inputs_and_clipped_outputs() -> None:
    model = build_model(random_checkpoint())
    sample = [random_frames(seed, 15) for seed in range(3)]
    found = calibrate(model, sample, momentum=0.5)
    weights = np.array([1, 2, 4]) / 7  # the last utterance counts most
    assert found.input.minimum == pytest.approx(weights @ [f.min() for f in sample])
    assert found.input.maximum == pytest.approx(weights @ [f.max() for f in sample])
    assert list(found.outputs) == ["layer1", "layer2", "layer3", "layer5"]
    for name, observed in found.outputs.items():
        peaks = [float(layer_outputs(model, frames)[name].max()) for frames in sample]
        assert observed.maximum == pytest.approx(weights @ peaks)
        assert observed.minimum >= 0
    assert (found.utterances, found.momentum) == (3, 0.5)


def test_the_range_of_summed_projections_holds_both_terms_and_the_sum() -> None:
    """R2, R11: one range for all three; the terms are seen where the directions concatenate."""
    summed = random_checkpoint(2, hidden=6, lstm={"projection": 4, "merge": "sum"})
    apart = random_checkpoint(2, hidden=6, lstm={"projection": 4})
    weights = {name: t for name, t in summed.weights.items() if not name.startswith("layer5")}
    apart.weights.update(weights)
    frames = random_frames(1, 12)
    terms = layer_outputs(build_model(apart), frames)["layer4"]
    total = terms[:, :4] + terms[:, 4:]
    model = build_model(summed)
    found = calibrate(model, [frames]).outputs["layer4"]
    assert found.maximum == pytest.approx(max(terms.max().item(), total.max().item()))
    assert found.minimum == pytest.approx(min(terms.min().item(), total.min().item()))
    assert terms[:, 4:].max() > terms[:, :1].max()  # or the test would see half of the terms only
    assert layer_outputs(model, frames)["layer4"].numpy() == pytest.approx(total.numpy())


def test_an_utterance_without_a_frame_is_passed_over() -> None:
    model = build_model(random_checkpoint())
    frames = random_frames(0, 4)
    assert calibrate(model, [np.zeros((0, 5)), frames]) == calibrate(model, [frames])
    with pytest.raises(ConversionError, match="long enough"):
        calibrate(model, [np.zeros((0, 5))])


def test_one_frame_is_enough() -> None:
    found = calibrate(build_model(random_checkpoint()), [np.full((1, 5), -2.0)])
    assert found.input == ActivationRange(-2.0, -2.0)


def test_a_diverged_network_is_named_with_layer_and_utterance() -> None:
    checkpoint = random_checkpoint()
    checkpoint.weights["layer2.weight"][0] = float("nan")
    with pytest.raises(ConversionError, match="layer2, calibration utterance 1: .*not finite"):
        calibrate(build_model(checkpoint), [random_frames(0, 4)])


def test_weights_that_do_not_fit_the_graph_are_one_line() -> None:
    checkpoint = random_checkpoint()
    checkpoint.weights["layer2.weight"] = torch.zeros(3, 3)
    del checkpoint.weights["layer6.bias"]
    with pytest.raises(CheckpointError, match=r"layer6\.bias.*layer2\.weight") as caught:
        build_model(checkpoint)
    assert "\n" not in str(caught.value)


def test_a_layer_that_training_does_not_know_is_refused() -> None:
    graph = Graph((Conv2d("deep", 1, 1, (1, 1), (1, 1), (0, 0)), Output("out", 8, 4)))
    with pytest.raises(ConversionError, match="deep"):
        build_model(dataclasses.replace(random_checkpoint(), graph=graph))
