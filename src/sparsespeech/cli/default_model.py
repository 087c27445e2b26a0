"""The model that a command takes when none is named."""

from __future__ import annotations

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.lookup import bundled_models
from sparsespeech.model_file.reader import read_model

_PREFERRED = "english-medium"


def default_model() -> str:
    """``english-medium``, or the first bundled model if that one is missing.

    Raises ModelFileError if the installation holds no model.
    """
    bundled = bundled_models()
    if _PREFERRED in bundled:
        return _PREFERRED
    if bundled:
        return next(iter(bundled))
    raise ModelFileError("this installation holds no model; name one with --model FILE")


def streaming_models() -> list[str]:
    """Names of the bundled models that can stream, because they do not read backwards."""
    return [
        name for name, path in bundled_models().items() if not read_model(path).graph.bidirectional
    ]


def default_streaming_model() -> str:
    """The first bundled model that can stream; :func:`default_model` if there is none."""
    return next(iter(streaming_models()), None) or default_model()
