"""Vectors of kind ``model``: a whole small IntegerModel, its inputs and its logits.

An identity output layer (R9) makes the activations of the layer before it visible as logits, so
every executor with ``run(windows)`` can be tested on every rule. Windows of all utterances stand
one after the other; ``frames`` holds the length of each.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.graph import Conv2d, Graph, Layer, Lstm
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.integer_arithmetic.vector_cases.layers import LayerBuilder, identity_output
from sparsespeech.integer_arithmetic.vector_cases.seeded_integers import SeededIntegers
from sparsespeech.integer_arithmetic.vector_cases.storage import (
    Vector,
    flatten_model,
    placeholder_model,
)
from sparsespeech.model_file.model import IntegerLayer

Pairs = list[tuple[Layer, IntegerLayer]]
FRAMES = (9, 0, 1, 2)  # lengths of the utterances of most vectors


def model_vector(
    name: str, rules: tuple[str, ...], about: str, pairs: Pairs, utterances: list[NDArray[Any]]
) -> Vector:
    """Run the definitional reference over each of ``utterances`` [T, C] and keep its logits."""
    bits = 16 if utterances[0].dtype == np.int16 else 8
    graph = Graph(tuple(entry for entry, _ in pairs))
    model = placeholder_model(graph, tuple(layer for _, layer in pairs), bits)
    executor = ReferenceExecutor(model, method="definitional")
    logits = [executor.run(windows) for windows in utterances]
    facts, tensors = flatten_model(model)
    tensors["windows"] = np.concatenate(utterances)
    tensors["frames"] = np.array([len(windows) for windows in utterances])
    tensors["logits"] = np.concatenate(logits).astype(np.int64 if bits == 16 else np.int32)
    tensors["logit_frames"] = np.array([len(rows) for rows in logits])
    return Vector(name, "model", rules, about, tensors, facts)


def random_model_vectors() -> list[Vector]:
    """Random layers and whole tiny models, one or more for each option of the graph."""
    return [
        _linear("r04_linear_lanes", _LANES),
        _linear("r04_linear_one_row", (129, 1)),
        _linear("r04_linear_per_row", (17, 40, 33, 31), per_row=True),
        _linear("r10_linear_wide", (17, 40, 33, 31), wide=True, per_row=True),
        *(
            _lstm(f"r05_lstm_{cells}_cells", cells, bidirectional=cells % 2 == 1)
            for cells in (1, 3, 16, 17, 31)
        ),
        _lstm("r05_lstm_65_cells", 65, density=0.1, bidirectional=False),
        _lstm("r05_lstm_per_row", 8, per_row=True),
        _lstm("r05_lstm_peephole", 8, peephole=True),
        _lstm("r08_lstm_projection", 16, projection=5),
        _lstm("r08_lstm_projection_peephole", 16, projection=7, peephole=True, per_row=True),
        _lstm("r11_lstm_sum", 9, merge="sum"),
        _lstm("r11_lstm_sum_projection", 12, merge="sum", projection=6),
        _lstm("r10_lstm_wide", 9, wide=True),
        _lstm("r10_lstm_wide_projection", 8, wide=True, projection=5, peephole=True, per_row=True),
        _lstm("r10_lstm_wide_sum", 8, wide=True, merge="sum"),
        _lstm("r12_lstm_long", 4, frames=(129, 128)),
        *(_convolution(name, geometry, wide=wide) for name, geometry, wide in _CONVOLUTIONS),
        _deepspeech("model_deepspeech", bidirectional=True),
        _deepspeech("model_deepspeech_unidirectional", bidirectional=False),
        _deepspeech("model_deepspeech_per_row", bidirectional=True, per_row=True),
        _deepspeech("model_deepspeech_wide", bidirectional=True, wide=True),
        _deepspeech2(),
    ]


_LANES = (17, 15, 16, 31, 32, 33, 63, 64, 65, 127, 128, 129)  # around vector units
_CONVOLUTIONS = [
    ("r11_convolution", Conv2d("layer1", 1, 8, (3, 3), (1, 1), (1, 1)), False),
    ("r11_convolution_stride", Conv2d("layer1", 2, 5, (5, 3), (2, 2), (2, 0)), False),
    ("r11_convolution_no_padding", Conv2d("layer1", 3, 4, (2, 12), (1, 3), (0, 0)), False),
    ("r10_convolution_wide", Conv2d("layer1", 2, 4, (3, 5), (1, 2), (1, 2)), True),
]


def windows(
    random: SeededIntegers, frames: tuple[int, ...], width: int, *, wide: bool = False
) -> list[NDArray[Any]]:
    """Random activations [T, C] of several utterances, with both extremes among them."""
    low, high, kind = (-32768, 32767, np.int16) if wide else (0, 255, np.uint8)
    utterances = []
    for count in frames:
        x = random.integers(low, high, (count, width))
        x[2:3], x[3:4] = low, high  # one frame of each extreme where there are that many
        utterances.append(x.astype(kind))
    return utterances


def _linear(
    name: str, widths: tuple[int, ...], *, wide: bool = False, per_row: bool = False
) -> Vector:
    """A chain of fully connected layers of ``widths``, first the inputs, and an output layer."""
    random = SeededIntegers(name)
    build = LayerBuilder(random, density=0.12, wide=wide, per_row=per_row)
    pairs: Pairs = []
    zero_point = 0 if wide else 101
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
        next_zero_point = 0 if wide or number % 2 else 7
        name_of_layer = f"layer{number + 1}"
        pairs.append(build.linear(name_of_layer, inputs, outputs, zero_point, next_zero_point))
        zero_point = next_zero_point
    pairs.append(build.output(widths[-1], 29, zero_point))
    about = "fully connected layers of " + ", ".join(str(width) for width in widths)
    rules = ("R3", "R4", "R9", "R10") if wide else ("R3", "R4", "R9")
    return model_vector(name, rules, about, pairs, windows(random, FRAMES, widths[0], wide=wide))


def _lstm(
    name: str,
    cells: int,
    *,
    bidirectional: bool = True,
    density: float = 0.3,
    wide: bool = False,
    per_row: bool = False,
    frames: tuple[int, ...] = FRAMES,
    **options: Any,
) -> Vector:
    """One LSTM under an identity output."""
    random = SeededIntegers(name)
    build = LayerBuilder(random, density=density, wide=wide, per_row=per_row)
    entry = Lstm("layer1", 11, cells, bidirectional, **options)
    pairs: Pairs = [
        build.lstm(entry, 0 if wide else 55),
        identity_output(entry.outputs, wide=wide),
    ]
    about = f"one LSTM of {cells} cells, {options or 'no options'}, identity output"
    rules = ("R3", "R5", "R6", "R7", "R8", "R12") + (("R10",) if wide else ())
    return model_vector(name, rules, about, pairs, windows(random, frames, 11, wide=wide))


def _convolution(name: str, geometry: Conv2d, *, wide: bool) -> Vector:
    """One convolution under an identity output; some utterances are shorter than the kernel."""
    random = SeededIntegers(name)
    build = LayerBuilder(random, density=0.6, wide=wide)
    bins = 13
    output_bins = (bins + 2 * geometry.padding[1] - geometry.kernel[1]) // geometry.stride[1] + 1
    pairs: Pairs = [
        build.convolution(geometry, 0 if wide else 77),
        identity_output(geometry.output_channels * output_bins, wide=wide),
    ]
    about = f"one convolution over {bins} bins: {geometry}"
    rules = ("R3", "R4", "R11") + (("R10",) if wide else ())
    utterances = windows(random, (9, 0, 1, 2, 3), geometry.input_channels * bins, wide=wide)
    return model_vector(name, rules, about, pairs, utterances)


def _deepspeech(
    name: str, *, bidirectional: bool, wide: bool = False, per_row: bool = False
) -> Vector:
    """The six layers of DeepSpeech at a hidden size of 8."""
    random = SeededIntegers(name)
    build = LayerBuilder(random, density=0.4, wide=wide, per_row=per_row)
    hidden, input_zero_point, h_zero_point = 8, 0 if wide else 131, 0 if wide else 128
    entry = Lstm("layer4", 2 * hidden, hidden, bidirectional)
    pairs: Pairs = [
        build.linear("layer1", 30, hidden, input_zero_point),
        build.linear("layer2", hidden, hidden, 0),
        build.linear("layer3", hidden, 2 * hidden, 0),
        build.lstm(entry, 0),
        build.linear("layer5", entry.outputs, hidden, h_zero_point),
        build.output(hidden, 29, 0),
    ]
    rules = ("R3", "R4", "R5", "R6", "R7", "R8", "R9", "R12") + (("R10",) if wide else ())
    utterances = windows(random, (25, 0, 1, 2, 7), 30, wide=wide)
    return model_vector(name, rules, "a whole DeepSpeech, hidden size 8", pairs, utterances)


def _deepspeech2() -> Vector:
    """Two convolutions, two summed bidirectional LSTMs, one fully connected layer, output."""
    random = SeededIntegers("deepspeech2")
    build = LayerBuilder(random, density=0.4)
    first = Conv2d("conv1", 1, 4, (5, 5), (2, 2), (2, 2))  # 20 bins to 10
    second = Conv2d("conv2", 4, 3, (3, 5), (1, 2), (1, 2))  # 10 bins to 5
    pairs: Pairs = [
        build.convolution(first, 40),
        build.convolution(second, 0),
        build.lstm(Lstm("lstm1", 15, 8, merge="sum"), 0),
        build.lstm(Lstm("lstm2", 8, 8, merge="sum"), 128),
        build.linear("layer5", 8, 8, 128),
        build.output(8, 29, 0),
    ]
    rules = ("R3", "R4", "R5", "R9", "R11", "R12")
    about = "a DeepSpeech2 of two convolutions and two summed bidirectional LSTMs"
    return model_vector(
        "model_deepspeech2", rules, about, pairs, windows(random, (21, 0, 1, 2, 5), 20)
    )
