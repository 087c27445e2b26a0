"""Scan a checkpoint on a sample of speech and suggest sparsities from it (S4, steps 1 and 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.pruning.allocation import Limits, LossCurve, allocate, check_target
from sparsespeech.pruning.scan_sample import choose_sample
from sparsespeech.pruning.sensitivity import scan_checkpoint
from sparsespeech.pruning.sensitivity_file import Scan, read_scan, write_scan
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.weight_matrices import weight_matrices


@dataclass(frozen=True)
class ScanSettings:
    """How many ``utterances``, chosen by ``seed``, and at which ``sparsities`` to measure them.

    ``structure`` is the pattern of the matrices in the words of ``parse_structure``;
    ``own_structures`` has those of single matrices by name.
    """

    utterances: int
    seed: int
    sparsities: Sequence[float]
    structure: str = "unstructured"
    own_structures: Mapping[str, str] = field(default_factory=dict)


def suggest_sparsities(
    source: Checkpoint,
    utterances: Sequence[Utterance],
    settings: ScanSettings,
    target: float,
    limits: Mapping[str, Limits],
    file: Path,
    progress: Progress,
) -> Scan:
    """The scan of ``source``, with suggestions for the total sparsity ``target``.

    ``file`` is its ``sensitivity.json``: points in it are not measured again. Raises
    SensitivityError where it holds another scan or, before anything is measured, where the target
    is out of reach, and what reading the speech raises.
    """
    check_target(list(_planned_curves(source, settings.sparsities, file)), target, limits)
    sample = choose_sample(
        source, utterances, count=settings.utterances, seed=settings.seed, progress=progress
    )
    scan = scan_checkpoint(
        source,
        sample,
        settings.sparsities,
        file,
        progress,
        settings.structure,
        settings.own_structures,
    )
    scan.suggested = allocate(scan.curves(), scan.loss_dense, target, limits)
    write_scan(file, scan)
    return scan


def _planned_curves(
    source: Checkpoint, sparsities: Sequence[float], file: Path
) -> Iterator[LossCurve]:
    """A curve a matrix with all points that the scan will have, in ``file`` already or not yet.

    Their losses are NaN.
    """
    found = read_scan(file).matrices if file.exists() else []
    kept = {matrix.name: matrix.points for matrix in found}
    for name, weight in weight_matrices(source).items():
        points = sorted({*sparsities, *kept.get(name, {})})
        zeros = weight.numel() - int(weight.count_nonzero())
        yield LossCurve(
            name,
            weight.numel(),
            tuple((sparsity, math.nan) for sparsity in points),
            zeros / weight.numel(),
        )
