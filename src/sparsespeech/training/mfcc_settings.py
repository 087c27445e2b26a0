"""Feature constants as a person writes them: keys of a YAML section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sparsespeech.errors import ModelFileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.model_file.canonical_json import shown

_KINDS = {int: "an integer", float: "a number", str: "text"}


def parse_mfcc_config(settings: Mapping[str, Any]) -> MfccConfig:
    """The defaults with the changes of a section ``features``.

    Raises ValueError: an unknown key, a value of another type, or constants that break a rule.
    """
    kinds = {key: type(value) for key, value in asdict(MfccConfig()).items()}
    for key, value in settings.items():
        if key not in kinds:
            raise ValueError(f"features: unknown key {key!r}; known: {', '.join(kinds)}")
        kind = kinds[key]
        if type(value) is not kind and (type(value), kind) != (int, float):
            raise ValueError(f"features.{key}: expected {_KINDS[kind]}, got {shown(value)}")
    try:  # a file must hold 8000.0, though a person writes 8000
        return MfccConfig(**{key: kinds[key](value) for key, value in settings.items()})
    except (OverflowError, ModelFileError) as error:
        raise ValueError(f"features: {error}") from None
