"""Post-training quantization of a checkpoint: calibrate, convert, measure (S2, section III-B)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.progress import Progress

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import (
    Calibration,
    Frames,
    calibrate,
    choose_utterances,
    normalised_frames,
)
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.fidelity import Fidelity, compare
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.float_recogniser import build_model

MEASURED_UTTERANCES = 10  # fake-quantize walks frame by frame: more would take minutes


@dataclass(frozen=True, eq=False)
class QuantizedCheckpoint:
    """The integer model, the ranges it was made with and how far it is from the float model."""

    conversion: Conversion
    calibration: Calibration
    fidelity: Fidelity


def quantize_checkpoint(
    checkpoint: Checkpoint,
    utterances: Sequence[Utterance],
    *,
    count: int,
    seed: int,
    per_row: bool,
    progress: Progress,
) -> QuantizedCheckpoint:
    """Calibrate on ``count`` of ``utterances``, convert, and compare on some of them.

    Raises ConversionError, CheckpointError or AudioError.
    """
    chosen = choose_utterances(utterances, count, seed)
    network = build_model(checkpoint)
    measured: list[Frames] = []

    def frames() -> Iterator[Frames]:
        for utterance in progress.track(chosen, description="calibrate"):
            current = normalised_frames(utterance, checkpoint)
            if len(measured) < MEASURED_UTTERANCES:
                measured.append(current)
            yield current

    calibration = calibrate(network, frames())
    conversion = convert(checkpoint, calibration, per_row=per_row)
    emulation = FakeQuantizedModel(
        checkpoint.graph,
        checkpoint.weights,
        checkpoint.features.context,
        calibration,
        per_row=per_row,
    )
    fidelity = compare(
        network,
        emulation,
        ReferenceExecutor(conversion.model),
        progress.track(measured, description="compare"),
    )
    return QuantizedCheckpoint(conversion, calibration, fidelity)
