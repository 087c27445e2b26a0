"""How far the integer model is from the float model: noise per layer, changed decisions.

Axes: T frames, R outputs of a layer, V labels.

Both models run on the same recordings. The noise of a layer holds what all layers before it
added, so the figures fall from input to logits; it is what a listener of that layer gets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import Frames, layer_outputs
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel


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


def compare(
    exact: DeepSpeech,
    quantized: FakeQuantizedModel,
    reference: ReferenceExecutor,
    utterances: Iterable[Frames],
) -> Fidelity:
    """Run all three on ``utterances``, each normalised frames float64[T, F]."""
    names = [layer.name for layer in exact.graph.layers]
    ratios = {name: SignalToNoise() for name in ["input", *names]}
    count = frame_count = changed = differing = 0
    for frames in utterances:
        if len(frames) == 0:
            continue
        normalised = torch.from_numpy(frames)
        ratios["input"].add(normalised, quantized.frames(normalised).dequantize())
        windows = quantized.windows(normalised)
        expected, found = layer_outputs(exact, frames), quantized.run(windows)
        for name in names:
            ratios[name].add(expected[name], found[name].dequantize())
        logits = found[names[-1]]
        changed += int((expected[names[-1]].argmax(1) != logits.dequantize().argmax(1)).sum())
        integers = torch.from_numpy(reference.run(windows.numpy()))
        differing += int((integers != logits.integers).sum())
        count += 1
        frame_count += len(frames)
    return Fidelity(
        count,
        frame_count,
        {name: ratio.decibel() for name, ratio in ratios.items()},
        changed / max(frame_count, 1),
        differing,
    )
