"""Finding a model: a path, or the name of one that ships with the package."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.container import begins_like_one

SUFFIX = ".safetensors"
MODEL_FILE_NAME = "model" + SUFFIX  # inside a model folder


def bundled_models() -> dict[str, Path]:
    """Names and files of the models in the package, sorted by name."""
    folder = Path(str(files("sparsespeech").joinpath("models")))
    return {path.stem: path for path in sorted(folder.glob("*" + SUFFIX))}


def is_model(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether :func:`resolve_model` finds a file there that begins like a model file."""
    try:
        return begins_like_one(resolve_model(name_or_path))
    except ModelFileError:
        return False


def resolve_model(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a model: bundled NAME, a ``.safetensors`` file, or a folder that holds one.

    A bundled name wins over a file or folder of the same name; write ``./NAME`` for the path.
    Raises ModelFileError that lists the bundled names.
    """
    bundled = bundled_models()
    if str(name_or_path) in bundled:
        return bundled[str(name_or_path)]
    path, what = Path(name_or_path), "no such model file"
    if os.path.isdir(path):  # unlike Path.is_dir, False for any impossible path
        if os.path.isfile(path / MODEL_FILE_NAME):
            return path / MODEL_FILE_NAME
        what = f"a folder without a {MODEL_FILE_NAME}"
    elif os.path.isfile(path):
        return path
    names = ", ".join(bundled) or "none"
    raise ModelFileError(
        f"{path}: {what}; give a {SUFFIX} file, a folder with a "
        f"{MODEL_FILE_NAME}, or the name of a bundled model ({names})"
    )
