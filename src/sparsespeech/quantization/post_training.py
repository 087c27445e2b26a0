"""Quantization of a checkpoint: calibrate, convert, measure (MAU paper, section III-B).

A checkpoint of fixed-point retraining brings the ranges that it was trained with; any other one is
calibrated on a sample of utterances.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.progress import Progress

from sparsespeech.acoustic_model.deepspeech import DeepSpeech
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.errors import ConversionError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.quantization.calibrate import (
    Calibration,
    Frames,
    calibrate,
    choose_utterances,
    frames_of_utterance,
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
    chosen = choose_utterances(utterances, count, seed)
    network = build_model(checkpoint)
    measured: list[Frames] = []
    frames = calibration_frames(checkpoint, chosen, progress, keep=measured)
    calibration = activation_ranges(checkpoint, network, frames, precision, recalibrate=recalibrate)
    if not measured:  # the ranges are those of retraining
        measured += [frames_of_utterance(u, checkpoint) for u in chosen[:MEASURED_UTTERANCES]]
    conversion = convert(checkpoint, calibration, precision)
    emulation = emulate(checkpoint, calibration, precision)
    fidelity = compare(
        network,
        emulation,
        ReferenceExecutor(conversion.model),
        progress.track(measured, description="compare"),
    )
    return QuantizedCheckpoint(conversion, calibration, fidelity)


def activation_ranges(
    checkpoint: Checkpoint,
    network: DeepSpeech,
    frames: Iterable[Frames],
    precision: Precision,
    *,
    recalibrate: bool = False,
) -> Calibration:
    """The ranges of fixed-point retraining, else those of ``frames``, each float64[T, F].

    Frames are drawn only if the checkpoint has no ranges, or with ``recalibrate``. Raises
    ConversionError for shared weights that are to get one scale a row, and for ranges that cannot
    be; CheckpointError for trained ranges of another graph.
    """
    refuse_row_scales_of_shared_weights(checkpoint, precision)
    trained = None if recalibrate else trained_calibration(checkpoint)
    return calibrate(network, frames) if trained is None else trained


def refuse_row_scales_of_shared_weights(checkpoint: Checkpoint, precision: Precision) -> None:
    """Raise ConversionError where ``precision`` would undo the sharing of ``compress``."""
    if shares_weights(checkpoint) and precision.per_row:
        values = checkpoint.facts["progress"]["codebook"]["values"]
        raise ConversionError(
            f"{checkpoint.path}: its matrices share {values} values each, and with one scale a row "
            "equal weights become different integers; give --per-matrix to 'quantize', or quantize "
            "the checkpoint from before 'compress' and share the integers of the model file"
        )


def shares_weights(checkpoint: Checkpoint) -> bool:
    """Whether ``compress`` has given the matrices of a checkpoint a codebook each."""
    return bool(checkpoint.facts["progress"].get("codebook"))


def calibration_frames(
    checkpoint: Checkpoint,
    chosen: Sequence[Utterance],
    progress: Progress,
    keep: list[Frames] | None = None,
) -> Iterator[Frames]:
    """Normalised frames float64[T, F] of each recording; the first ones also go to ``keep``."""
    for utterance in progress.track(chosen, description="calibrate"):
        current = frames_of_utterance(utterance, checkpoint)
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
