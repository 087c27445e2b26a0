"""Writing a model file: proved first, in one exact spelling, and never half."""

from __future__ import annotations

import os
from pathlib import Path

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.container import Container, serialise
from sparsespeech.model_file.lookup import MODEL_FILE_NAME, SUFFIX
from sparsespeech.model_file.manifest import build_manifest
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.proved_file import write_proved
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.tensors import model_tensors
from sparsespeech.model_file.validate import validate_model


def encode_model(model: IntegerModel) -> bytes:
    """The bytes of the file; equal models give equal bytes.

    Raises ModelFileError if the model breaks a rule of ``format.md``.
    """
    validate_model(model)
    return serialise(Container(build_manifest(model), model_tensors(model)))


def write_model(model: IntegerModel, path: Path) -> None:
    """Write ``model`` to ``path`` (NAME.safetensors, or an existing folder) atomically.

    A failure of any kind leaves an old file as it was. Raises ModelFileError for a model that
    breaks a rule, for another suffix and where the disk refuses.
    """
    target = path / MODEL_FILE_NAME if os.path.isdir(path) else path
    if target.suffix != SUFFIX:
        raise ModelFileError(f"{path}: the name of a model file must end in {SUFFIX}")
    write_proved(target, lambda: encode_model(model), decode_model, ModelFileError)
