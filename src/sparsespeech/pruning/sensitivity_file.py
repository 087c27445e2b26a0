"""``sensitivity.json``: the points of a scan and the sparsities suggested from them.

::

    {"checkpoint", "checkpoint_sha256", "sample_sha256", "structure", "utterances", "loss_dense",
     "matrices": [{"name", "parameters", "present", "points": [{"sparsity", "loss"}]}],
     "suggested": {"target", "total", "loss_increase", "matrices": {name: sparsity}}}

``present`` is the share of zeros that a matrix has before it is pruned. ``suggested`` is absent
until the scan is complete. Losses are CTC losses in nats a character.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsespeech import atomic_file
from sparsespeech.errors import SensitivityError
from sparsespeech.pruning.allocation import Allocation, LossCurve


@dataclass
class MatrixScan:
    """Losses of one matrix by its sparsity."""

    name: str
    parameters: int
    present: float
    points: dict[float, float] = field(default_factory=dict)

    def curve(self) -> LossCurve:
        """The points in the order of their sparsity."""
        points = tuple(sorted(self.points.items()))
        return LossCurve(self.name, self.parameters, points, self.present)


@dataclass
class Scan:
    """All points measured so far; ``loss_dense`` is NaN until it is measured."""

    checkpoint: str
    checkpoint_sha256: str
    sample_sha256: str
    structure: str
    utterances: int
    loss_dense: float
    matrices: list[MatrixScan]
    suggested: Allocation | None = None

    def curves(self) -> list[LossCurve]:
        """One curve a matrix, in the order of the network."""
        return [matrix.curve() for matrix in self.matrices]

    def to_json(self) -> dict[str, Any]:
        """Plain values in the form of the module's docstring."""
        values: dict[str, Any] = {
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "sample_sha256": self.sample_sha256,
            "structure": self.structure,
            "utterances": self.utterances,
            "loss_dense": self.loss_dense,
            "matrices": [
                {
                    "name": curve.name,
                    "parameters": curve.parameters,
                    "present": curve.present,
                    "points": [{"sparsity": s, "loss": loss} for s, loss in curve.points],
                }
                for curve in self.curves()
            ],
        }
        if self.suggested is not None:
            values["suggested"] = {
                "target": self.suggested.target,
                "total": self.suggested.total,
                "loss_increase": self.suggested.loss_increase,
                "matrices": self.suggested.matrices,
            }
        return values


def write_scan(path: Path, scan: Scan) -> None:
    """Replace ``path`` atomically; a kill leaves all points but the one in work."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_text(path, json.dumps(scan.to_json(), indent=1) + "\n")


def read_scan(path: Path) -> Scan:
    """The scan in ``path``; raises SensitivityError naming the file and what is wrong."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SensitivityError(f"{path}: cannot read the scan: {error}") from None
    try:
        scan = _parse(values)
        sparsities = [s for matrix in scan.matrices for s in matrix.points]
        losses = [loss for matrix in scan.matrices for loss in matrix.points.values()]
        if not all(math.isfinite(value) for value in [scan.loss_dense, *losses]):
            raise ValueError("a loss is not a finite number")
        if not scan.matrices or not all(0 <= sparsity < 1 for sparsity in sparsities):
            raise ValueError("it has no matrices, or a sparsity outside 0 to 1")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SensitivityError(
            f"{path}: not a file of 'sparsespeech sensitivity': {reason}"
        ) from None
    return scan


def _parse(values: dict[str, Any]) -> Scan:
    suggested = values.get("suggested")
    return Scan(
        checkpoint=str(values["checkpoint"]),
        checkpoint_sha256=str(values["checkpoint_sha256"]),
        sample_sha256=str(values["sample_sha256"]),
        structure=str(values["structure"]),
        utterances=int(values["utterances"]),
        loss_dense=float(values["loss_dense"]),
        matrices=[
            MatrixScan(
                str(matrix["name"]),
                int(matrix["parameters"]),
                float(matrix["present"]),
                {float(point["sparsity"]): float(point["loss"]) for point in matrix["points"]},
            )
            for matrix in values["matrices"]
        ],
        suggested=None
        if suggested is None
        else Allocation(
            float(suggested["target"]),
            float(suggested["total"]),
            float(suggested["loss_increase"]),
            {str(name): float(value) for name, value in suggested["matrices"].items()},
        ),
    )
