"""What a run needs before it starts, and what must be the same when it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.errors import CheckpointError
from sparsespeech.training.checkpoint import find_checkpoint
from sparsespeech.training.dataset import SpeechDataset
from sparsespeech.training.recipe import Recipe, expand_path

# A resumed run may log differently and have another name; everything else decides its bits.
_FREE_SECTIONS = ("logging", "name")


def check_inputs(recipe: Recipe, *, resumed: bool) -> None:
    """Find what is missing before hours of features are computed.

    Raises ManifestError, RecipeError or CheckpointError.
    """
    for source in [*recipe.data.train, recipe.data.development]:
        read_manifest(expand_path(source.manifest), split=source.split)
    if recipe.model.initial is not None and not resumed:
        find_checkpoint(expand_path(recipe.model.initial))


def check_same_run(
    folder: Path, state: dict[str, Any], recipe: Recipe, dataset: SpeechDataset, workers: int
) -> None:
    """Raise CheckpointError unless the checkpoint ``folder`` is one of this run.

    ``state`` is its ``state.json``: recipe, corpora and number of workers must be the same.
    """
    ours = {
        **recipe.model_dump(mode="json"),
        "workers": workers,
        "corpora": dataset.digest(),
    }
    progress = state["progress"]
    theirs = {
        **state["recipe"],
        "workers": progress["workers"],
        "corpora": progress["corpora"],
    }
    for section in _FREE_SECTIONS:
        theirs[section] = ours[section]
    different = first_difference(theirs, ours)
    if different:
        raise CheckpointError(
            f"{folder}: does not fit the recipe: {different}; resume with what the run was "
            f"started with, or start another with --output"
        )


def first_difference(was: Any, now: Any, key: str = "") -> str | None:
    """``key was A, is B`` for the first leaf that differs in two nested dictionaries."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in [*was, *(set(now) - set(was))]:
            found = first_difference(was.get(name), now.get(name), f"{key}.{name}".lstrip("."))
            if found:
                return found
        return None
    return None if was == now else f"{key} was {was!r}, is {now!r}"
