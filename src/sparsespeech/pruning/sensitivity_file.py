"""``sensitivity.json``: the points of a scan and the sparsities suggested from them.

::

    {"checkpoint", "checkpoint_sha256", "sample_sha256", "structure", "utterances", "loss_dense",
     "matrices": [{"name", "parameters", "present", "structure",
                   "points": [{"sparsity", "loss"}]}],
     "suggested": {"target", "total", "loss_increase", "matrices": {name: sparsity}}}

``structure`` is the pattern that the matrices were pruned in; a matrix has that key only where its
own pattern is another one. ``present`` is the share of zeros that it has before. ``suggested`` is
absent until the scan is complete. Losses are CTC losses in nats a character.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparsespeech import atomic_file
from sparsespeech.errors import SensitivityError
from sparsespeech.pruning.allocation import Allocation, LossCurve
from sparsespeech.pruning.structure_settings import Structure, parse_structure

_Sparsity = Annotated[float, Field(ge=0.0, lt=1.0)]
_Loss = Annotated[float, Field(ge=0.0)]


@dataclass
class MatrixScan:
    """Losses of one matrix by its sparsity; ``structure`` is None where it is that of the scan."""

    name: str
    parameters: int
    present: float
    points: dict[float, float] = field(default_factory=dict)
    structure: str | None = None

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

    def structures(self) -> dict[str, Structure]:
        """The pattern that each matrix was pruned in, by its name."""
        return {
            matrix.name: parse_structure(matrix.structure or self.structure)
            for matrix in self.matrices
        }

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
                    "name": matrix.name,
                    "parameters": matrix.parameters,
                    "present": matrix.present,
                    **({"structure": matrix.structure} if matrix.structure else {}),
                    "points": [
                        {"sparsity": s, "loss": loss} for s, loss in sorted(matrix.points.items())
                    ],
                }
                for matrix in self.matrices
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
        return _ScanContent.model_validate(values).scan()
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "scan"
        reason = f"{key}: {first['msg'].removeprefix('Value error, ')}"
        shown = "" if isinstance(first["input"], dict | list) else f", got {first['input']!r}"
        raise SensitivityError(
            f"{path}: not a file of 'sparsespeech sensitivity': {reason}{shown}"
        ) from None


def _known_structure(text: str) -> str:
    parse_structure(text)  # raises ValueError
    return text


_Structure = Annotated[str, AfterValidator(_known_structure)]


class _Content(BaseModel):
    """What all parts of the file share: JSON types as they are, no NaN, no further keys."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _PointContent(_Content):
    sparsity: _Sparsity
    loss: _Loss


class _MatrixContent(_Content):
    name: str
    parameters: Annotated[int, Field(ge=1, lt=2**53)]
    present: Annotated[float, Field(ge=0.0, le=1.0)]
    points: list[_PointContent]
    structure: _Structure | None = None

    @model_validator(mode="after")
    def _distinct(self) -> _MatrixContent:
        if len({point.sparsity for point in self.points}) < len(self.points):
            raise ValueError("a sparsity occurs twice")
        return self

    def matrix(self) -> MatrixScan:
        points = {point.sparsity: point.loss for point in self.points}
        return MatrixScan(self.name, self.parameters, self.present, points, self.structure)


class _SuggestedContent(_Content):
    target: _Sparsity
    total: _Sparsity
    loss_increase: _Loss
    matrices: Annotated[dict[str, _Sparsity], Field(min_length=1)]

    def allocation(self) -> Allocation:
        return Allocation(self.target, self.total, self.loss_increase, self.matrices)


class _ScanContent(_Content):
    checkpoint: str
    checkpoint_sha256: str
    sample_sha256: str
    structure: _Structure
    utterances: Annotated[int, Field(ge=1, lt=2**53)]
    loss_dense: _Loss
    matrices: Annotated[list[_MatrixContent], Field(min_length=1)]
    suggested: _SuggestedContent | None = None

    @model_validator(mode="after")
    def _same_matrices(self) -> _ScanContent:
        names = [matrix.name for matrix in self.matrices]
        if len(set(names)) < len(names):
            raise ValueError("a matrix occurs twice")
        suggested = self.suggested.matrices if self.suggested is not None else {}
        unknown = sorted(set(suggested) - set(names))
        if unknown:
            raise ValueError(f"suggested.matrices names {unknown[0]}, which was not scanned")
        return self

    def scan(self) -> Scan:
        return Scan(
            self.checkpoint,
            self.checkpoint_sha256,
            self.sample_sha256,
            self.structure,
            self.utterances,
            self.loss_dense,
            [matrix.matrix() for matrix in self.matrices],
            None if self.suggested is None else self.suggested.allocation(),
        )
