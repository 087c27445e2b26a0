"""The emulation's edges: windows as the run flow makes them, layers that it refuses."""

import numpy as np
import pytest
import torch

from sparsespeech.errors import ConversionError
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.graph import Conv2d, Graph, Output
from sparsespeech.model_file.model import InputQuantization
from sparsespeech.quantization.calibrate import Calibration
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.observers import ActivationRange
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from tests.random_checkpoints import random_checkpoint, random_frames


@pytest.mark.parametrize("precision", [EIGHT_BIT, Precision(12, 16)], ids=lambda p: p.label)
def test_windows_are_those_of_the_run_flow(precision: Precision) -> None:
    checkpoint = random_checkpoint(context=2)
    calibration = _calibration(checkpoint.graph)
    model = FakeQuantizedModel(checkpoint.graph, checkpoint.weights, 2, calibration, precision)
    frames = random_frames(0, 11) * 2
    parameters = calibration.input.parameters(precision.activation_bits)
    quantization = InputQuantization(
        np.zeros(5), np.ones(5), parameters.scale, parameters.zero_point
    )
    integers = quantize_frames(frames, quantization, precision.activation_bits)
    limits = np.iinfo(np.int16 if precision.wide else np.uint8)
    assert integers.dtype == limits.dtype
    assert integers.min() == limits.min and integers.max() == limits.max
    expected = context_windows(integers, 2, quantization.zero_point)
    found = model.windows(torch.from_numpy(frames)).numpy()
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


def test_a_convolution_is_refused_by_name() -> None:
    graph = Graph((Conv2d("deep", 1, 1, (1, 1), (1, 1), (0, 0)), Output("out", 8, 3)))
    with pytest.raises(ConversionError, match="layer deep"):
        FakeQuantizedModel(graph, {}, 0, _calibration(graph))


def _calibration(graph: Graph) -> Calibration:
    ranges = {layer.name: ActivationRange(0.0, 4.0) for layer in graph.layers}
    return Calibration(ActivationRange(-2.5, 3.5), ranges, 1, 0.9)
