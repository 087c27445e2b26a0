"""What each weight matrix is pruned to: final sparsity, pattern and scope by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sparsespeech.errors import RecipeError
from sparsespeech.pruning.sensitivity_file import read_scan
from sparsespeech.pruning.settings import (
    DEFAULT_EXCEPTIONS,
    OUTPUT_LAYER,
    MatrixException,
    MatrixSettings,
    Pruning,
    Scope,
)
from sparsespeech.pruning.structure_settings import BankBalanced, Structure, structure_text
from sparsespeech.pruning.structures import least_sparsity


@dataclass(frozen=True)
class Target:
    """The aim for one matrix; ``minimum`` and ``maximum`` bound a global selection."""

    sparsity: float
    structure: Structure
    scope: Scope
    minimum: float
    maximum: float


def resolve_targets(settings: Pruning, shapes: Mapping[str, tuple[int, int]]) -> dict[str, Target]:
    """The target of each matrix of ``shapes`` (rows, columns by name) that is pruned at all.

    Raises RecipeError for an expression that matches no matrix, for a pattern that cannot hold
    the wanted sparsity, and for a file of suggested sparsities that does not fit.
    """
    suggested, scanned = _read_suggested(settings.from_sensitivity, shapes)
    targets = {
        name: Target(
            suggested.get(name, settings.final_sparsity),
            settings.structure,
            # A matrix with a suggestion of its own shares no threshold.
            "layer" if name in suggested and settings.scope == "global" else settings.scope,
            settings.minimum_sparsity,
            settings.maximum_sparsity,
        )
        for name in _included(settings, shapes)
    }
    for expression, change in fitting_exceptions(settings, list(shapes)).items():
        by_default = DEFAULT_EXCEPTIONS.get(expression) == change
        matched = _matches("exceptions", expression, shapes, required=True)
        for name in matched:
            if name in targets and not (by_default and name in suggested):
                targets[name] = _changed(targets[name], change)
    for name, value in suggested.items():
        if name in targets and targets[name].sparsity == value > 0:
            _check_scanned(name, targets[name].structure, scanned[name], settings)
    return {
        name: _feasible(name, target, shapes[name][1])
        for name, target in targets.items()
        if target.sparsity > 0
    }


def fitting_exceptions(settings: Pruning, names: Sequence[str]) -> dict[str, MatrixException]:
    """The exceptions of ``settings`` for a network with matrices ``names``, in graph order.

    The default exceptions are meant for DeepSpeech. In another network the one of the output layer
    is that of the last matrix, and what names a layer that is not there is left out.
    """
    fitting: dict[str, MatrixException] = {}
    for expression, change in settings.exceptions.items():
        by_default = DEFAULT_EXCEPTIONS.get(expression) == change
        if not by_default or any(re.search(expression, name) for name in names):
            fitting[expression] = change
        elif expression == OUTPUT_LAYER and names:
            fitting[f"^{re.escape(names[-1])}$"] = change
    return fitting


def _included(settings: Pruning, shapes: Mapping[str, tuple[int, int]]) -> list[str]:
    if not settings.include:
        return list(shapes)
    chosen = {
        name
        for expression in settings.include
        for name in _matches("include", expression, shapes, required=True)
    }
    return [name for name in shapes if name in chosen]


def _matches(
    key: str, expression: str, shapes: Mapping[str, tuple[int, int]], *, required: bool
) -> list[str]:
    """Names that ``expression`` matches; raises RecipeError for a bad or idle one."""
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise RecipeError(
            f"pruning.{key}: {expression!r} is not a regular expression: {error}"
        ) from None
    matched = [name for name in shapes if pattern.search(name)]
    if required and not matched:
        raise RecipeError(
            f"pruning.{key}: {expression!r} matches no weight matrix; "
            f"the matrices are {', '.join(shapes)}"
        )
    return matched


def _changed(target: Target, change: float | MatrixSettings) -> Target:
    if not isinstance(change, MatrixSettings):
        change = MatrixSettings(sparsity=change)
    given = {
        key: getattr(change, key)
        for key in ("sparsity", "structure", "scope", "minimum", "maximum")
        if getattr(change, key) is not None
    }
    # A matrix with a sparsity of its own shares no threshold.
    if "sparsity" in given and given.get("scope", target.scope) == "global":
        given["scope"] = "layer"
    return replace(target, **given)


def _feasible(name: str, target: Target, columns: int) -> Target:
    structure = target.structure
    if isinstance(structure, BankBalanced):
        width = min(structure.bank, columns)
        if round(target.sparsity * width) >= width:
            raise RecipeError(
                f"pruning: sparsity {target.sparsity} leaves no weight in a bank of {width} "
                f"columns of {name}; use a larger pruning.structure.bank or a lower sparsity"
            )
    return replace(target, sparsity=max(target.sparsity, least_sparsity(structure, columns)))


def _check_scanned(name: str, wanted: Structure, scanned: Structure, settings: Pruning) -> None:
    """Raise RecipeError where a matrix was scanned in another pattern than it is pruned in."""
    if wanted != scanned:
        raise RecipeError(
            f"pruning.from_sensitivity: {settings.from_sensitivity}: {name} was scanned as "
            f"{structure_text(scanned)}, but is to be pruned as {structure_text(wanted)}; prune it "
            f"as it was scanned, or run 'sparsespeech sensitivity' with --structure "
            f"{structure_text(wanted)}"
        )


def _read_suggested(
    path: str | None, shapes: Mapping[str, tuple[int, int]]
) -> tuple[dict[str, float], dict[str, Structure]]:
    """Sparsity and pattern by name from a ``sensitivity.json``.

    Raises SensitivityError or RecipeError.
    """
    if path is None:
        return {}, {}
    scan = read_scan(Path(path))
    suggested = scan.suggested
    if suggested is None:
        raise RecipeError(
            f"pruning.from_sensitivity: {path} suggests no sparsities yet; let 'sparsespeech "
            f"sensitivity' finish with a --target"
        )
    for name in suggested.matrices:
        if name not in shapes:
            raise RecipeError(
                f"pruning.from_sensitivity: {path}: the network has no matrix {name!r}; "
                f"its matrices are {', '.join(shapes)}"
            )
    structures = scan.structures()
    return suggested.matrices, {name: structures[name] for name in suggested.matrices}
