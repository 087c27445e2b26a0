"""Reading a model file: everything is proved before anything is used.

The order matters. The header's length comes before the header, its digest before its JSON, the
directory before a tensor is viewed, the digests before tensors are decoded, the graph before a
shape is asked for, and the values last.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import container, limits
from sparsespeech.model_file.lookup import MODEL_FILE_NAME
from sparsespeech.model_file.manifest import parse_manifest
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.tensors import model_from_tensors
from sparsespeech.model_file.validate import validate_model

_LONGEST_MESSAGE = 600  # characters; a forged file cannot flood the terminal


def read_model(path: Path) -> IntegerModel:
    """The model in ``path``, a file or a folder that holds ``model.safetensors``.

    Raises one ModelFileError that names file, tensor and rule. Memory stays below a fixed
    multiple of the file's real length, whatever the file declares.
    """
    file = path / MODEL_FILE_NAME if os.path.isdir(path) else path
    try:
        return decode_model(_content(file))
    except ModelFileError as error:
        message = f"{file}: {error}".replace("\n", " ")
        if len(message) > _LONGEST_MESSAGE:  # keep both ends: the file and the rule
            half = _LONGEST_MESSAGE // 2
            message = f"{message[: half - 3]}...{message[-half:]}"
        raise ModelFileError(message) from None


def decode_model(content: bytes) -> IntegerModel:
    """The model in the bytes of a file; raises ModelFileError naming tensor and rule."""
    parsed = container.parse(content)
    manifest = parse_manifest(parsed.manifest)
    model = model_from_tensors(manifest, parsed.tensors)
    validate_model(model)
    return model


def _content(file: Path) -> bytes:
    """All bytes of a regular file within the cap of rule F1."""
    try:
        facts = file.stat()  # before opening: opening a pipe would wait for its other end
        if not stat.S_ISREG(facts.st_mode):
            raise ModelFileError("is not a regular file (rule F1)")
        if facts.st_size > limits.FILE_BYTES:
            raise ModelFileError(
                f"holds {facts.st_size} bytes, at most {limits.FILE_BYTES} are allowed (rule F1)"
            )
        with file.open("rb") as stream:
            content = stream.read(facts.st_size + 1)
    except OSError as error:
        raise ModelFileError(f"cannot be read: {error.strerror} (rule F1)") from None
    except ValueError as error:  # a path with a null byte
        raise ModelFileError(f"cannot be read: {error} (rule F1)") from None
    if len(content) != facts.st_size:
        raise ModelFileError("changed its length while it was read (rule F1)")
    return content
