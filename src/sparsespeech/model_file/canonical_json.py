"""The one spelling of a JSON value: sorted or given key order, no spaces, UTF-8, no NaN.

A text is accepted only if writing its value again gives the same text, so that no two files
hold the same model in different bytes and nothing hides in white space or duplicate keys.
"""

from __future__ import annotations

import json
from typing import Any

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import limits


def dump(value: Any, where: str, *, sort_keys: bool = True) -> str:
    """Canonical text of a plain JSON value; raises ModelFileError, naming ``where``, otherwise."""
    try:
        text = json.dumps(
            value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelFileError(f"{where}: not plain JSON: {error} (rule F4)") from None
    return text


def load(text: str, where: str, *, sort_keys: bool = True) -> dict[str, Any]:
    """The object in ``text``, proved canonical; ``where`` names the text in errors.

    Raises ModelFileError (rule F4) for bad JSON, duplicate keys, NaN, integers beyond 2^53,
    nesting deeper than 16 and any spelling but the canonical one.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant
        )
        _check_depth(value, limits.JSON_DEPTH)
        canonical = dump(value, where, sort_keys=sort_keys)
    except RecursionError:
        raise ModelFileError(
            f"{where}: JSON nests deeper than {limits.JSON_DEPTH} (rule F4)"
        ) from None
    except ValueError as error:
        raise ModelFileError(f"{where}: {error} (rule F4)") from None
    if not isinstance(value, dict):
        raise ModelFileError(
            f"{where}: must be a JSON object, got {type(value).__name__} (rule F4)"
        )
    if canonical != text:
        difference = _first_difference(text, canonical)
        raise ModelFileError(f"{where}: is not canonical JSON: {difference} (rule F4)")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key {key[:60]!r} occurs twice")
        values[key] = value
    return values


def _integer(digits: str) -> int:
    if len(digits) > len(str(limits.JSON_INTEGER)) + 1 or abs(int(digits)) > limits.JSON_INTEGER:
        raise ValueError(f"integer {digits[:20]}... is beyond 2^53 - 1")
    return int(digits)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: Any, left: int) -> None:
    if not isinstance(value, (dict, list)):
        return
    if left == 0:
        raise ValueError(f"JSON nests deeper than {limits.JSON_DEPTH}")
    for item in value.values() if isinstance(value, dict) else value:
        _check_depth(item, left - 1)


def _first_difference(text: str, canonical: str) -> str:
    same = 0
    while same < min(len(text), len(canonical)) and text[same] == canonical[same]:
        same += 1
    return (
        f"character {same} starts {text[same : same + 12]!r}, "
        f"expected {canonical[same : same + 12]!r}"
    )
