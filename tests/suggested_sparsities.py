"""A ``sensitivity.json`` with suggestions, as ``sparsespeech sensitivity`` leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sparsespeech.pruning.allocation import Allocation
from sparsespeech.pruning.sensitivity_file import MatrixScan, Scan, write_scan


def write_suggestion(
    path: Path,
    matrices: Mapping[str, float] | None,
    names: Sequence[str],
    target: float = 0.8,
    structure: str = "unstructured",
) -> str:
    """Write a scan of the matrices ``names``; without ``matrices`` it is not complete."""
    allocation = None
    if matrices is not None:
        allocation = Allocation(target, target, loss_increase=0.1, matrices=dict(matrices))
    scan = Scan(
        checkpoint="run",
        checkpoint_sha256="0",
        sample_sha256="0",
        structure=structure,
        utterances=5,
        loss_dense=0.9,
        matrices=[
            MatrixScan(name=name, parameters=10, present=0.0, points={0.5: 1.0}) for name in names
        ],
        suggested=allocation,
    )
    write_scan(path, scan)
    return str(path)
