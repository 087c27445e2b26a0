"""Folders of training: which run a checkpoint belongs to, and what is such a folder at all."""

from __future__ import annotations

import os
from pathlib import Path

from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.training.checkpoint_state import CHECKPOINTS, STATE_NAME


def run_folder(checkpoint: Path) -> Path | None:
    """The run that holds the folder ``checkpoint``; None for one that stands alone, as exported.

    A checkpoint named from inside its run is found too. Below the working directory the path is
    relative, as a person would write it.
    """
    folder = checkpoint.resolve().parent
    if folder.name != CHECKPOINTS:
        return None
    run, here = folder.parent, Path.cwd()
    return run.relative_to(here) if run.is_relative_to(here) else run


def is_checkpoint(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether a model argument is a run or checkpoint folder of training rather than a model.

    As in ``resolve_model`` a bundled name wins over a folder of that name.
    """
    if str(name_or_path) in bundled_models():
        return False
    return os.path.isfile(os.path.join(name_or_path, STATE_NAME)) or os.path.isdir(
        os.path.join(name_or_path, CHECKPOINTS)
    )
