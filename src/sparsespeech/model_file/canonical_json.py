"""The one spelling of a JSON value: sorted or given key order, no spaces, UTF-8, no NaN.

A text is accepted only if writing its value again gives the same text, so that no two files
hold the same model in different bytes and nothing hides in white space or duplicate keys.
"""

from __future__ import annotations

import json
from typing import Any

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file import limits

_TOO_DEEP = f"JSON nests deeper than {limits.JSON_DEPTH}"
_LONGEST_SHOWN = 80  # characters of a value of the file in a message


def dump(value: Any, where: str, *, sort_keys: bool = True) -> str:
    """Canonical text of a plain JSON value; raises ModelFileError, naming ``where``, otherwise."""
    try:
        _prove_plain(value, limits.JSON_DEPTH)
        text = json.dumps(
            value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise ModelFileError(f"{where}: {error} (rule F4)") from None
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
        canonical = dump(value, where, sort_keys=sort_keys)
    except RecursionError:
        raise ModelFileError(f"{where}: {_TOO_DEEP} (rule F4)") from None
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


def shown(value: Any) -> str:
    """A value of the file, safe for a one-line message: escaped and cut."""
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 3] + "..."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise ValueError(f"key {shown(key)} occurs twice")
        values[key] = value
    return values


def _integer(digits: str) -> int:
    """Only as many digits are converted as an integer within the cap can have."""
    longest = len(str(-limits.JSON_INTEGER))
    if len(digits) > longest:
        raise ValueError(f"integer {digits[:longest]}... is beyond 2^53 - 1")
    return int(digits)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _prove_plain(value: Any, levels_left: int) -> None:
    """Depth, kinds of keys and size of integers, none of which ``json`` checks."""
    if type(value) is int and abs(value) > limits.JSON_INTEGER:
        raise ValueError(f"integer {value} is beyond 2^53 - 1")
    if not isinstance(value, (dict, list, tuple)):
        return
    if levels_left == 0:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError(f"keys {shown(list(value))} must be texts")
        value = value.values()
    for item in value:
        _prove_plain(item, levels_left - 1)


def _first_difference(text: str, canonical: str) -> str:
    same = 0
    while same < min(len(text), len(canonical)) and text[same] == canonical[same]:
        same += 1
    return (
        f"character {same} starts {shown(text[same : same + 12])}, "
        f"expected {shown(canonical[same : same + 12])}"
    )
