"""Which bits to choose: error rates, noise and bytes of one checkpoint in several forms.

Axes: T frames, V labels with the CTC blank last.

All forms run on the same recordings. The integer forms run as the torch emulation, because it
shows the output of every layer; that its logits are those of the reference executor is checked on
the first recordings of each run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import Progress

from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.silence import holds_no_speech
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.decoding.alphabet import Alphabet
from sparsespeech.decoding.greedy import greedy_decode
from sparsespeech.decoding.softmax import log_softmax
from sparsespeech.evaluation.word_error_rate import (
    UtteranceErrors,
    character_error_rate,
    count_errors,
    word_error_rate,
)
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.statistics import model_statistics
from sparsespeech.quantization.calibrate import (
    INPUT,
    Calibration,
    choose_utterances,
    frames_of_samples,
)
from sparsespeech.quantization.convert import convert
from sparsespeech.quantization.fidelity import (
    Fidelity,
    FidelityMeter,
    exact_outputs,
    real_outputs,
)
from sparsespeech.quantization.post_training import (
    activation_ranges,
    calibration_frames,
    emulate,
    shares_weights,
)
from sparsespeech.quantization.precision import EIGHT_BIT, Precision
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model

FLOAT = "float"
CHOICES = (EIGHT_BIT, Precision(per_row=True), Precision(12, 16), Precision(16, 16))
CHECKED_UTTERANCES = 3
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class ChoiceFigures:
    """One form of one checkpoint. Rates are per cent; ``fidelity`` is None for the float form.

    ``bytes_stored``: of the model file, or of the dense network in float32.
    """

    choice: str
    errors: tuple[UtteranceErrors, ...]
    bytes_stored: int
    weights_rounded_to_zero: int
    fidelity: Fidelity | None

    @property
    def word_error_rate(self) -> float:
        """Of all utterances together."""
        return word_error_rate(self.errors)

    @property
    def character_error_rate(self) -> float:
        """Of all utterances together."""
        return character_error_rate(self.errors)


@dataclass(frozen=True)
class CheckpointFigures:
    """All forms of one checkpoint, the float form first, with the ranges of its activations."""

    checkpoint: Checkpoint
    calibration: Calibration
    choices: tuple[ChoiceFigures, ...]


def compare_choices(
    checkpoint: Checkpoint,
    calibration_utterances: Sequence[Utterance],
    measured: Sequence[Utterance],
    *,
    count: int,
    seed: int,
    progress: Progress,
    recalibrate: bool = False,
) -> CheckpointFigures:
    """Calibrate on ``count`` of the first, then run every choice on all of ``measured``.

    The ranges of fixed-point retraining take the place of calibration as in
    ``quantize_checkpoint``. Shared weights are left out with one scale a row, which would undo
    them. Raises ConversionError, CheckpointError or AudioError.
    """
    network = build_model(checkpoint)
    chosen = choose_utterances(calibration_utterances, count, seed)
    sample = calibration_frames(checkpoint, chosen, progress)
    # EIGHT_BIT stands for all choices: ranges do not depend on bits.
    calibration = activation_ranges(checkpoint, network, sample, EIGHT_BIT, recalibrate=recalibrate)
    names = [layer.name for layer in checkpoint.graph.layers]
    choices = [c for c in CHOICES if not (c.per_row and shares_weights(checkpoint))]
    forms = [_IntegerForm(checkpoint, calibration, choice, names) for choice in choices]
    decoder = _Decoder(checkpoint)
    float_errors = []
    for utterance in progress.track(measured, description="compare"):
        samples = read_audio(utterance.audio_filepath, checkpoint.features.sample_rate_hz).samples
        frames = frames_of_samples(samples, checkpoint)
        if len(frames) == 0:
            nothing = count_errors(utterance.text, "")
            float_errors.append(nothing)
            for form in forms:
                form.errors.append(nothing)
            continue
        silent = holds_no_speech(samples, checkpoint.features.sample_rate_hz)
        exact = exact_outputs(network, frames)
        scores = exact[names[-1]].log_softmax(dim=1).numpy()
        float_errors.append(decoder.errors(utterance, scores, silent=silent))
        for form in forms:
            scores = form.run(frames, exact)
            form.errors.append(decoder.errors(utterance, scores, silent=silent))
    parameters = sum(weights.numel() for weights in checkpoint.weights.values())
    dense = ChoiceFigures(FLOAT, tuple(float_errors), _FLOAT32_BYTES * parameters, 0, None)
    return CheckpointFigures(checkpoint, calibration, (dense, *(f.figures() for f in forms)))


class _IntegerForm:
    """One choice of bits at work."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        calibration: Calibration,
        precision: Precision,
        names: list[str],
    ) -> None:
        self._label, self._last = precision.label, names[-1]
        conversion = convert(checkpoint, calibration, precision)
        self._rounded = sum(matrix.vanished for matrix in conversion.matrices)
        self._bytes = model_statistics(conversion.model).bytes_stored
        self._reference = ReferenceExecutor(conversion.model)
        self._emulation = emulate(checkpoint, calibration, precision)
        self._meter = FidelityMeter([INPUT, *names])
        self._unchecked = CHECKED_UTTERANCES
        self.errors: list[UtteranceErrors] = []

    def run(
        self, frames: NDArray[np.float64], exact: dict[str, torch.Tensor]
    ) -> NDArray[np.float32]:
        """Log-probabilities float32[T, V] of one recording, after measuring every layer."""
        windows = self._emulation.windows(torch.from_numpy(frames))
        outputs = self._emulation.run(windows)
        logits = outputs[self._last]
        self._meter.add(exact, real_outputs(self._emulation, frames, outputs))
        if self._unchecked:
            self._unchecked -= 1
            self._meter.check(logits.integers, self._reference.run(windows.numpy()))
        integers = logits.integers.numpy().astype(np.int64)
        return log_softmax(integers, logits.scale.numpy().astype(np.float32))

    def figures(self) -> ChoiceFigures:
        """Everything so far."""
        return ChoiceFigures(
            self._label, tuple(self.errors), self._bytes, self._rounded, self._meter.figures()
        )


class _Decoder:
    """Greedy text, as ``evaluate`` decodes; silence has none."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._alphabet = Alphabet(checkpoint.labels)
        self._frame_duration_s = checkpoint.features.frame_duration_s

    def errors(
        self, utterance: Utterance, scores: NDArray[np.float32], *, silent: bool
    ) -> UtteranceErrors:
        """Errors of the text of log-probabilities float32[T, V]."""
        text = ""
        if not silent:
            text = greedy_decode(scores, self._alphabet, self._frame_duration_s).text
        return count_errors(utterance.text, text)
