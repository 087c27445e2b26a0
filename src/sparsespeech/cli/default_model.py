"""The model that a command takes when none is named."""

from __future__ import annotations

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.lookup import bundled_models

_PREFERRED = "english-small"


def default_model() -> str:
    """``english-small``, or the first bundled model if that one is missing.

    Raises ModelFileError if the installation holds no model.
    """
    bundled = bundled_models()
    if _PREFERRED in bundled:
        return _PREFERRED
    if bundled:
        return next(iter(bundled))
    raise ModelFileError("this installation holds no model; name one with --model FILE")
