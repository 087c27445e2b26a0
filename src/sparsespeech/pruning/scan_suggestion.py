"""Scan a checkpoint on a sample of speech and suggest sparsities from it (S4, steps 1 and 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress

from sparsespeech.corpora.manifest import Utterance
from sparsespeech.pruning.allocation import Limits, allocate
from sparsespeech.pruning.scan_sample import choose_sample
from sparsespeech.pruning.sensitivity import scan_checkpoint
from sparsespeech.pruning.sensitivity_file import Scan, write_scan
from sparsespeech.training.checkpoint import Checkpoint


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
    SensitivityError where it holds another scan or the target is out of reach, and what reading
    the speech raises.
    """
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
