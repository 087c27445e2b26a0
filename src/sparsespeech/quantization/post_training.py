"""Quantization of a checkpoint: calibrate, convert, measure (MAU paper, section III-B).

A checkpoint of fixed-point retraining brings the ranges that it was trained with; any other one is
calibrated on a sample of utterances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.progress import Progress

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import (
    Calibration,
    Frames,
    calibrate,
    choose_utterances,
    normalised_frames,
    trained_calibration,
)
from sparsespeech.quantization.convert import Conversion, convert
from sparsespeech.quantization.fake_quantized_model import FakeQuantizedModel
from sparsespeech.quantization.fidelity import Fidelity, compare
from sparsespeech.quantization.precision import Precision
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
    precision: Precision,
    progress: Progress,
    recalibrate: bool = False,
) -> QuantizedCheckpoint:
    """Calibrate on ``count`` of ``utterances``, convert, and compare on some of them.

    The ranges of fixed-point retraining take the place of calibration if the checkpoint has some
    and ``recalibrate`` is False. Raises ConversionError, CheckpointError or AudioError, the first
    also for shared weights that are to get one scale a row.
    """
    _refuse_row_scales_of_shared_weights(checkpoint, precision)
    chosen = choose_utterances(utterances, count, seed)
    network = build_model(checkpoint)
    calibration = None if recalibrate else trained_calibration(checkpoint)
    measured: list[Frames] = []
    if calibration is None:
        frames = calibration_frames(checkpoint, chosen, progress, keep=measured)
        calibration = calibrate(network, frames)
    else:
        measured += [normalised_frames(u, checkpoint) for u in chosen[:MEASURED_UTTERANCES]]
    conversion = convert(checkpoint, calibration, precision)
    emulation = emulate(checkpoint, calibration, precision)
    fidelity = compare(
        network,
        emulation,
        ReferenceExecutor(conversion.model),
        progress.track(measured, description="compare"),
    )
    return QuantizedCheckpoint(conversion, calibration, fidelity)


def _refuse_row_scales_of_shared_weights(checkpoint: Checkpoint, precision: Precision) -> None:
    codebook = checkpoint.facts["progress"].get("codebook")
    if codebook and precision.per_row:
        raise ConversionError(
            f"{checkpoint.path}: its matrices share {codebook['values']} values each, and with one "
            "scale a row equal weights become different integers; give --per-matrix, or quantize "
            "the checkpoint from before 'compress' and share the integers of the model file"
        )


def calibration_frames(
    checkpoint: Checkpoint,
    chosen: Sequence[Utterance],
    progress: Progress,
    keep: list[Frames] | None = None,
) -> Iterator[Frames]:
    """Normalised frames float64[T, F] of each recording; the first ones also go to ``keep``."""
    for utterance in progress.track(chosen, description="calibrate"):
        current = normalised_frames(utterance, checkpoint)
        if keep is not None and len(keep) < MEASURED_UTTERANCES:
            keep.append(current)
        yield current


def emulate(
    checkpoint: Checkpoint, calibration: Calibration, precision: Precision
) -> FakeQuantizedModel:
    """The torch emulation of the integer model of ``checkpoint``."""
    return FakeQuantizedModel(
        checkpoint.graph,
        checkpoint.weights,
        checkpoint.features.context,
        calibration,
        precision,
    )
