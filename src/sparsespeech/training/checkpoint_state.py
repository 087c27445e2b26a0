"""``state.json`` of a checkpoint folder: everything but the tensors, proved, without torch.

::

    {"format_version", "step", "sha256": {file: digest}, "graph", "features", "mean", "deviation",
     "labels", "recipe", "progress"}

Axis: F coefficients of a frame. The graph obeys the rules of a model file (``format.md``), so
every width has a cap; ``recipe`` and ``progress`` are facts for whoever wants them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.errors import CheckpointError, SparseSpeechError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.model_file.graph_rules import prove_graph
from sparsespeech.model_file.limits import JSON_INTEGER
from sparsespeech.model_file.manifest import parse_graph

FORMAT_VERSION = 1
STATE_NAME = "state.json"
CHECKPOINTS = "checkpoints"  # the folder inside a run
_KINDS = {
    "sha256": dict, "graph": list, "features": dict, "mean": list, "deviation": list,
    "labels": list, "recipe": dict, "progress": dict,
}  # fmt: skip
_PLAIN_FACTS = {"name": str, "seed": int}  # keys of a recipe that are no sections
_READ_FACTS: dict[
    str, dict[str, type]
] = {  # of its sections, what others read; the rest is for a person
    "quantization": {"calibration_utterances": int, "per_row": bool},
    "fixed_point": {"weight_bits": int, "activation_bits": int, "per_row": bool},
}


@dataclass(frozen=True, eq=False)
class CheckpointState:
    """The content of ``state.json``; ``values`` are the same as they are stored."""

    folder: Path
    values: dict[str, Any]
    step: int
    graph: Graph
    features: MfccConfig
    mean: NDArray[np.float64]  # float64[F]
    deviation: NDArray[np.float64]  # float64[F], above 0
    labels: tuple[str, ...]

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of the files of tensors by their names."""
        return dict(self.values["sha256"])

    @property
    def facts(self) -> dict[str, Any]:
        """Recipe and training progress."""
        return {key: self.values[key] for key in ("recipe", "progress")}


def list_checkpoints(run: Path) -> list[Path]:
    """Complete checkpoint folders of a run, oldest first."""
    return sorted(path.parent for path in (run / CHECKPOINTS).glob(f"step-*/{STATE_NAME}"))


def find_checkpoint(path: Path) -> Path:
    """The folder itself if it is a checkpoint, else the newest checkpoint of a run folder."""
    if (path / STATE_NAME).is_file():
        return path
    found = list_checkpoints(path)
    if not found:
        raise CheckpointError(
            f"{path}: no checkpoint here; expected a run folder of "
            f"'sparsespeech train' or one of its checkpoints/step-N folders"
        )
    return found[-1]


def read_state(folder: Path) -> dict[str, Any]:
    """The values of ``state.json`` as they are stored, all proved; raises CheckpointError."""
    return read_checkpoint_state(folder).values


def read_checkpoint_state(folder: Path) -> CheckpointState:
    """``state.json`` of a checkpoint folder; raises CheckpointError naming what is wrong."""
    path = folder / STATE_NAME
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from None
    if not isinstance(values, dict) or not _is_count(values.get("format_version")):
        raise CheckpointError(f"{path}: not a checkpoint of format version {FORMAT_VERSION}")
    if values["format_version"] != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format version {shown(values['format_version'])}, expected {FORMAT_VERSION}"
        )
    try:
        return _proved(folder, values)
    except (ValueError, SparseSpeechError) as error:
        raise CheckpointError(
            f"{path}: incomplete or wrong: {error}; use an earlier checkpoint"
        ) from None


def file_digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; raises OSError."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _proved(folder: Path, values: dict[str, Any]) -> CheckpointState:
    """Raises ValueError or a SparseSpeechError for the first value that cannot be."""
    for key in ("step", *_KINDS):
        if key not in values:
            raise ValueError(f"{key!r} is missing")
    if not _is_count(values["step"]):
        raise ValueError(f"'step' must be a whole number from 0 on, got {shown(values['step'])}")
    for key, kind in _KINDS.items():
        if not isinstance(values[key], kind):
            name = "an object" if kind is dict else "a list"
            raise ValueError(f"{key!r} must be {name}, got {type(values[key]).__name__}")
    if not all(isinstance(text, str) for text in [*values["labels"], *values["sha256"].values()]):
        raise ValueError("'labels' and 'sha256' must hold texts")
    _prove_recipe(values["recipe"])
    if any(type(value) is int and value > JSON_INTEGER for value in values["features"].values()):
        raise ValueError(f"'features' must hold whole numbers up to {JSON_INTEGER}")
    graph, labels = parse_graph(values["graph"]), tuple(values["labels"])
    features = MfccConfig.from_json(values["features"])
    prove_graph(graph, labels, values["features"])
    mean, deviation = (
        _numbers(key, values[key], features.coefficients) for key in ("mean", "deviation")
    )
    if not (deviation > 0).all():
        raise ValueError("'deviation' must be above 0")
    return CheckpointState(folder, values, values["step"], graph, features, mean, deviation, labels)


def _prove_recipe(recipe: dict[str, Any]) -> None:
    for name, section in recipe.items():
        if not isinstance(section, _PLAIN_FACTS.get(name, dict | None)):
            raise ValueError(f"recipe.{name} is of the wrong type: {shown(section)}")
    for name, kinds in _READ_FACTS.items():
        section = recipe.get(name) or {}
        for key in set(section) & set(kinds):
            value, kind = section[key], kinds[key]
            if type(value) is not kind or (kind is int and not _is_count(value)):
                raise ValueError(f"recipe.{name}.{key} cannot be {shown(value)}")


def _numbers(key: str, values: list[Any], count: int) -> NDArray[np.float64]:
    numbers = [
        value
        for value in values
        if type(value) in (int, float) and abs(value) <= sys.float_info.max  # False for NaN
    ]
    if len(values) != count or len(numbers) != count:
        raise ValueError(f"{key!r} must hold {count} finite numbers")
    return np.array(numbers, dtype=np.float64)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= JSON_INTEGER
