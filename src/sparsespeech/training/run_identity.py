"""What a run needs before it starts, and what must be the same when it goes on."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.errors import CheckpointError
from sparsespeech.training.checkpoint import find_checkpoint
from sparsespeech.training.dataset import SpeechDataset
from sparsespeech.training.distillation import Teacher
from sparsespeech.training.recipe import Recipe, expand_path, parse_recipe

# A resumed run may log differently and have another name; everything else decides its bits.
_FREE_SECTIONS = ("logging", "name")
# Of several expressions that match a matrix the last one counts, so their order does too.
_ORDERED_KEY = "pruning.exceptions"
# What the rounds of ``repeat_until`` have from each other: it moves with their folder. The scan is
# compared by its content (run_inputs), which holds the digest of the checkpoint.
_MOVABLE_FILES = (("model", "initial"), ("pruning", "from_sensitivity"))


def check_inputs(recipe: Recipe, *, resumed: bool) -> None:
    """Find what is missing before hours of features are computed.

    Raises ManifestError, RecipeError or CheckpointError.
    """
    for source in [*recipe.data.train, recipe.data.development]:
        read_manifest(expand_path(source.manifest), split=source.split)
    if recipe.model.initial is not None and not resumed:
        find_checkpoint(expand_path(recipe.model.initial))
    if recipe.distillation is not None:
        find_checkpoint(expand_path(recipe.distillation.teacher))


def run_inputs(
    recipe: Recipe, dataset: SpeechDataset, workers: int, teacher: Teacher | None
) -> dict[str, Any]:
    """What decides the bits of a run besides its recipe: workers, corpora, files it names."""
    inputs: dict[str, Any] = {"workers": workers, "corpora": dataset.digest()}
    if teacher is not None:
        inputs["teacher"] = teacher.digest
    if recipe.pruning is not None and recipe.pruning.from_sensitivity is not None:
        content = expand_path(recipe.pruning.from_sensitivity).read_bytes()
        inputs["sensitivity"] = hashlib.sha256(content).hexdigest()
    return inputs


def check_same_run(
    folder: Path,
    state: dict[str, Any],
    recipe: Recipe,
    inputs: dict[str, Any],
    *,
    files_may_move: bool = False,
) -> None:
    """Raise CheckpointError unless the checkpoint ``folder`` is one of this run.

    ``state`` is its ``state.json``: recipe and ``inputs`` (:func:`run_inputs`) must be the same,
    with ``files_may_move`` but for the paths of a round of ``repeat_until``.
    """
    ours = {**recipe.model_dump(mode="json"), **inputs}
    # Parsed anew: a key that came later has its default in older runs.
    recipe_then = parse_recipe(state["recipe"], str(folder)).model_dump(mode="json")
    theirs = {**recipe_then, **{key: state["progress"].get(key) for key in inputs}}
    for section in _FREE_SECTIONS:
        theirs[section] = ours[section]
    for section, key in _MOVABLE_FILES if files_may_move else ():
        if ours[section] and theirs[section]:
            theirs[section][key] = ours[section][key]
    different = first_difference(theirs, ours)
    if different:
        raise CheckpointError(
            f"{folder}: does not fit the recipe: {different}; resume with what the run was "
            f"started with, or start another with --output"
        )


def first_difference(was: Any, now: Any, key: str = "") -> str | None:
    """``key was A, is B`` for the first leaf that differs in two nested dictionaries.

    The order of the keys is a difference only in ``pruning.exceptions``.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        for name in [*was, *(name for name in now if name not in was)]:
            found = first_difference(was.get(name), now.get(name), f"{key}.{name}".lstrip("."))
            if found:
                return found
        if key.endswith(_ORDERED_KEY) and list(was) != list(now):
            return f"the order of {key} was {list(was)}, is {list(now)}"
        return None
    return None if was == now else f"{key} was {was!r}, is {now!r}"
