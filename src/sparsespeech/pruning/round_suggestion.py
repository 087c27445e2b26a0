"""What a round of S4's loop prunes each matrix to: its scan, and the sparsities that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import Progress

from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.errors import RecipeError, SensitivityError
from sparsespeech.pruning.allocation import Limits, check_reachable, total_sparsity
from sparsespeech.pruning.matrix_limits import matrix_limits
from sparsespeech.pruning.repeat_settings import RepeatUntil
from sparsespeech.pruning.scan_suggestion import ScanSettings, suggest_sparsities
from sparsespeech.pruning.settings import MatrixSettings, Pruning
from sparsespeech.pruning.structure_settings import Structure, structure_text
from sparsespeech.pruning.targets import fitting_exceptions, resolve_targets
from sparsespeech.training.checkpoint import Checkpoint
from sparsespeech.training.recipe import Recipe, expand_path
from sparsespeech.training.weight_matrices import matrix_shapes

_SCAN_SEED = 0


def suggest(
    source: Checkpoint, recipe: Recipe, target: float, file: Path, progress: Progress
) -> None:
    """Scan ``source`` on the development set and write into ``file`` what to prune it to.

    ``target`` is the total sparsity. Every matrix is scanned in the pattern that the recipe prunes
    it in. The recipe must have the sections ``repeat_until`` and ``pruning``. Raises what the
    scan raises, and SensitivityError where the target is out of reach.
    """
    settings, pruning = _sections(recipe)
    structures = matrix_structures(source, pruning)
    development = recipe.data.development
    utterances = read_manifest(expand_path(development.manifest), split=development.split)
    scan = ScanSettings(
        settings.utterances,
        _SCAN_SEED,
        settings.sparsities,
        structure_text(pruning.structure),
        {name: structure_text(structure) for name, structure in structures.items()},
    )
    limits = _limits(source, pruning, settings.sparsities[-1], structures)
    suggest_sparsities(source, utterances, scan, target, limits, file, progress)


def check_last_round(source: Checkpoint, recipe: Recipe) -> None:
    """Raise SensitivityError where no scan can suggest what the last round is to prune to.

    ``source`` is the network before the first round, ``recipe`` as for :func:`suggest`.
    """
    settings, pruning = _sections(recipe)
    structures = matrix_structures(source, pruning)
    limits = _limits(source, pruning, settings.sparsities[-1], structures)
    sizes = {name: rows * columns for name, (rows, columns) in matrix_shapes(source).items()}
    most = total_sparsity({name: limit.largest for name, limit in limits.items()}, sizes)
    target = settings.target(settings.rounds, pruning.final_sparsity)
    try:
        check_reachable(target, 0.0, most)
    except SensitivityError as error:
        raise SensitivityError(f"repeat_until: {error}") from None


def matrix_structures(source: Checkpoint, pruning: Pruning) -> dict[str, Structure]:
    """The pattern that each matrix is pruned in; a matrix that stays dense is left out.

    Raises RecipeError where ``pruning`` does not fit the network.
    """
    targets = resolve_targets(pruning, matrix_shapes(source))
    return {name: target.structure for name, target in targets.items()}


def exceptions_beside_suggestion(pruning: Pruning) -> dict[str, Any]:
    """Exceptions without their sparsities, for which the suggestion stands."""
    changes = {
        expression: {**change.model_dump(mode="json"), "sparsity": None}
        for expression, change in pruning.exceptions.items()
        if isinstance(change, MatrixSettings)
    }
    return {name: change for name, change in changes.items() if any(change.values())}


def _sections(recipe: Recipe) -> tuple[RepeatUntil, Pruning]:
    settings, pruning = recipe.repeat_until, recipe.pruning
    if settings is None or pruning is None:
        raise RecipeError(f"{recipe.name}: has no sections repeat_until and pruning")
    return settings, pruning


def _limits(
    source: Checkpoint, pruning: Pruning, largest: float, structures: dict[str, Structure]
) -> dict[str, Limits]:
    """No matrix beyond ``largest`` or the exceptions of the recipe; dense ones stay dense."""
    shapes = matrix_shapes(source)
    most = {}
    for expression, change in fitting_exceptions(pruning, list(shapes)).items():
        own = change.sparsity if isinstance(change, MatrixSettings) else change
        if own is not None:
            most[expression] = own
    patterns = {name: structures.get(name, pruning.structure) for name in shapes}
    limits = matrix_limits(shapes, Limits(0.0, largest), most, patterns)
    return {name: limits[name] if name in structures else Limits(0.0, 0.0) for name in shapes}
