"""How far the integer model is from the float model: noise per layer, changed decisions.

Axes: T frames, R outputs of a layer, V labels.

Both models run on the same recordings. The noise of a layer holds what all layers before it
added, so the figures fall from input to logits; it is what a listener of that layer gets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import INPUT, Frames, layer_outputs
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel, QuantizedActivation


@dataclass(frozen=True)
class Fidelity:
    """Figures over all measured frames.

    ``sqnr_db``: signal to quantization noise ratio in dB, of the normalised frames under "input"
    and of each layer's output under its name; None where a layer is silent or exact.
    ``argmax_changed``: share of frames whose likeliest label changed. ``differing_logits``:
    integers in which fake-quantize and the reference executor disagree; anything but 0 is a
    defect of this package.
    """

    utterances: int
    frames: int
    sqnr_db: dict[str, float | None]
    argmax_changed: float
    differing_logits: int


class SignalToNoise:
    """Energy of a signal and of its quantization error, summed over many tensors."""

    def __init__(self) -> None:
        self._signal = 0.0
        self._noise = 0.0

    def add(self, exact: Tensor, quantized: Tensor) -> None:
        """Two tensors of one shape; sums are taken in float64."""
        exact, quantized = exact.double(), quantized.double()
        self._signal += float(exact.square().sum())
        self._noise += float((exact - quantized).square().sum())

    def decibel(self) -> float | None:
        """``10 log10(signal / noise)``; None if either is 0."""
        if self._signal == 0.0 or self._noise == 0.0:
            return None
        return 10.0 * math.log10(self._signal / self._noise)


class FidelityMeter:
    """Figures of one choice of bits, gathered utterance by utterance."""

    def __init__(self, names: Sequence[str]) -> None:
        """``names``: "input" and all layers in order, the output layer last."""
        self._ratios = {name: SignalToNoise() for name in names}
        self._last = names[-1]
        self._utterances = self._frames = self._changed = self._differing = 0

    def add(self, exact: Mapping[str, Tensor], quantized: Mapping[str, Tensor]) -> None:
        """Real outputs [T, R] of all layers for one utterance, by name, from both models."""
        for name, ratio in self._ratios.items():
            ratio.add(exact[name], quantized[name])
        logits, found = exact[self._last], quantized[self._last]
        self._changed += int((logits.argmax(1) != found.argmax(1)).sum())
        self._utterances += 1
        self._frames += len(logits)

    def check(self, logits: Tensor, reference: NDArray[np.int64]) -> None:
        """Count integer logits [T, V] in which emulation and reference executor disagree."""
        self._differing += int((torch.from_numpy(reference) != logits).sum())

    def figures(self) -> Fidelity:
        """Everything so far."""
        return Fidelity(
            self._utterances,
            self._frames,
            {name: ratio.decibel() for name, ratio in self._ratios.items()},
            self._changed / max(self._frames, 1),
            self._differing,
        )


def compare(
    exact: DeepSpeech,
    quantized: FakeQuantizedModel,
    reference: ReferenceExecutor,
    utterances: Iterable[Frames],
) -> Fidelity:
    """Run all three on ``utterances``, each normalised frames float64[T, F]."""
    meter = FidelityMeter([INPUT, *(layer.name for layer in exact.graph.layers)])
    for frames in utterances:
        if len(frames) == 0:
            continue
        windows = quantized.windows(torch.from_numpy(frames))
        outputs = quantized.run(windows)
        meter.add(exact_outputs(exact, frames), real_outputs(quantized, frames, outputs))
        meter.check(outputs[exact.graph.layers[-1].name].integers, reference.run(windows.numpy()))
    return meter.figures()


def exact_outputs(model: DeepSpeech, frames: Frames) -> dict[str, Tensor]:
    """Normalised frames [T, F] under "input", and the output [T, R] of each float layer."""
    return {INPUT: torch.from_numpy(frames), **layer_outputs(model, frames)}


def real_outputs(
    model: FakeQuantizedModel, frames: Frames, outputs: Mapping[str, QuantizedActivation]
) -> dict[str, Tensor]:
    """What the integers of ``outputs`` stand for, and the quantized frames under "input"."""
    real = {INPUT: model.frames(torch.from_numpy(frames)).dequantize()}
    return real | {name: output.dequantize() for name, output in outputs.items()}
