"""Reading a model file: everything is proved before anything is used.

The order matters. The header's length comes before the header, its digest before its JSON, the
directory before a tensor is viewed, the digests before tensors are decoded, the graph before a
shape is asked for, and the values last.
"""

from __future__ import annotations

import os
from pathlib import Path

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import container
from sparsespeech.model_file.lookup import MODEL_FILE_NAME
from sparsespeech.model_file.manifest import parse_manifest
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.proved_file import read_proved
from sparsespeech.model_file.tensors import model_from_tensors
from sparsespeech.model_file.validate import validate_model


def read_model(path: Path) -> IntegerModel:
    """The model in ``path``, a file or a folder that holds ``model.safetensors``.

    Raises one ModelFileError that names file, tensor and rule. Memory stays below a fixed
    multiple of the file's real length, whatever the file declares.
    """
    file = path / MODEL_FILE_NAME if os.path.isdir(path) else path
    return read_proved(file, decode_model, ModelFileError, rule="F1")


def decode_model(content: bytes) -> IntegerModel:
    """The model in the bytes of a file; raises ModelFileError naming tensor and rule."""
    parsed = container.parse(content)
    manifest = parse_manifest(parsed.manifest)
    model = model_from_tensors(manifest, parsed.tensors)
    validate_model(model)
    return model
