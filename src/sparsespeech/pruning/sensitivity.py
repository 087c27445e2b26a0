"""Sensitivity scan: what each weight matrix alone costs at each sparsity (S4, step 1).

One matrix at a time loses its smallest weights at once, without retraining, and the CTC loss of
the network is measured on a fixed sample; the loss is smoother than the word error rate on so
few utterances. Every finished point is written to ``sensitivity.json``, so a scan that was
stopped goes on where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor

from sparsespeech.acoustic_model.deepspeech import prunable_names
from sparsespeech.errors import SensitivityError
from sparsespeech.pruning.scan_sample import ScanSample
from sparsespeech.pruning.sensitivity_file import MatrixScan, Scan, read_scan, write_scan
from sparsespeech.pruning.structure_settings import Structure, parse_structure
from sparsespeech.pruning.structures import structured_mask
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.checkpoint_digest import checkpoint_digest
from sparsespeech.training.float_recogniser import build_model


def scan_checkpoint(
    checkpoint: Checkpoint,
    sample: ScanSample,
    sparsities: Sequence[float],
    path: Path,
    progress: Progress,
    structure: str = "unstructured",
    own_structures: Mapping[str, str] | None = None,
) -> Scan:
    """Measure the points that ``path`` lacks, writing it after each, and return all of them.

    Matrices are scanned in the order of the network. A sparsity that a matrix has already costs
    nothing and is not measured. ``structure`` names the pattern that pruning keeps to, in the
    words of ``parse_structure``; ``own_structures`` those of matrices that have another one. Raises
    SensitivityError if ``path`` holds the scan of another checkpoint, sample or structure, or if
    the loss is not finite.
    """
    model = build_model(checkpoint)
    model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    parameters = dict(model.named_parameters())
    weights = {name: parameters[name].data for name in prunable_names(model)}
    structures = {name: (own_structures or {}).get(name, structure) for name in weights}
    patterns = {name: _structure(text) for name, text in structures.items()}
    scan = _begin(checkpoint, sample, path, weights, structure, structures)
    if math.isnan(scan.loss_dense):
        scan.loss_dense = _finite(sample.loss(model), "the checkpoint as it is")
        write_scan(path, scan)
    wanted = [(matrix, sparsity) for matrix in scan.matrices for sparsity in sorted(sparsities)]
    task = progress.add_task("scan", total=len(wanted))
    for matrix, sparsity in wanted:
        if sparsity not in matrix.points:
            weight = weights[matrix.name]
            progress.update(task, description=f"{matrix.name} at {sparsity:.0%}")
            if sparsity <= matrix.present:
                loss = scan.loss_dense
            else:
                with _pruned(weight, sparsity, patterns[matrix.name]):
                    loss = _finite(sample.loss(model), f"{matrix.name} at {sparsity:.0%}")
            matrix.points[sparsity] = loss
            write_scan(path, scan)
        progress.advance(task)
    return scan


def _begin(
    checkpoint: Checkpoint,
    sample: ScanSample,
    path: Path,
    weights: Mapping[str, Tensor],
    structure: str,
    structures: Mapping[str, str],
) -> Scan:
    """The scan in ``path`` if it is this one, or an empty one."""
    digest = checkpoint_digest(checkpoint)
    empty = Scan(
        checkpoint=str(checkpoint.path),
        checkpoint_sha256=digest,
        sample_sha256=sample.digest,
        structure=structure,
        utterances=sample.utterances,
        loss_dense=math.nan,
        matrices=[
            MatrixScan(
                name,
                weight.numel(),
                1.0 - int(weight.count_nonzero()) / weight.numel(),
                structure=structures[name] if structures[name] != structure else None,
            )
            for name, weight in weights.items()
        ],
    )
    if not path.exists():
        return empty
    found = read_scan(path)
    for what, was, now in (
        ("checkpoint", found.checkpoint_sha256, empty.checkpoint_sha256),
        ("sample of utterances", found.sample_sha256, empty.sample_sha256),
        ("structure", found.structure, empty.structure),
    ):
        if was != now:
            raise SensitivityError(
                f"{path}: holds the scan of another {what} ({was[:12]}, now {now[:12]}); "
                f"choose another --output or remove the file"
            )
    for there, here in zip(found.matrices, empty.matrices, strict=False):
        if (there.name, there.structure) != (here.name, here.structure):
            raise SensitivityError(
                f"{path}: holds the scan of {there.name} as {there.structure or structure}, not of "
                f"{here.name} as {here.structure or structure}; remove the file"
            )
    if len(found.matrices) != len(empty.matrices):
        raise SensitivityError(
            f"{path}: holds {len(found.matrices)} matrices, the network has "
            f"{len(empty.matrices)}; remove the file"
        )
    return found


def _structure(text: str) -> Structure:
    try:
        return parse_structure(text)
    except ValueError as error:
        raise SensitivityError(str(error)) from None


@contextmanager
def _pruned(weight: Tensor, sparsity: float, structure: Structure) -> Iterator[None]:
    """``weight`` without its smallest magnitudes, as long as the block lasts."""
    whole = weight.clone()
    weight.mul_(structured_mask(weight, torch.ones_like(weight), sparsity, structure))
    try:
        yield
    finally:
        weight.copy_(whole)


def _finite(loss: float, what: str) -> float:
    if not math.isfinite(loss):
        raise SensitivityError(f"{what}: the loss is {loss}; the checkpoint's weights diverged")
    return loss
