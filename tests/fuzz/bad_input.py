"""Everything that can be wrong with a file that holds plain values, one thing at a time."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sparsespeech.errors import SparseSpeechError

ODD_VALUES: dict[str, Any] = {
    "null": None, "true": True, "negative": -1, "fraction": 0.5, "NaN": math.nan,
    "infinite": math.inf, "minus infinite": -math.inf, "huge": 10**30, "beyond floats": 10**400,
    "empty text": "", "text": "x\n", "control": "\x1b[2J", "empty list": [], "empty object": {},
    "list": ["x"], "list of lists": [[1]], "object": {"x": 1},
}  # fmt: skip


class Mutation(NamedTuple):
    """Where the change is (``graph.0.inputs``), what it is, and all values with it."""

    place: str
    change: str
    values: Any


def mutations(values: Any, places: str = "") -> Iterator[Mutation]:
    """Each key and entry replaced by every odd value, removed, renamed and doubled.

    Only at places that the regular expression ``places`` matches from their start.
    """
    if not places:
        yield from (Mutation("", name, odd) for name, odd in ODD_VALUES.items())
    for path in _paths(values):
        place = ".".join(map(str, path))
        if not re.match(places, place):
            continue
        for name, odd in ODD_VALUES.items():
            yield Mutation(
                place, name, _changed(values, path, lambda at, key, v=odd: _set(at, key, v))
            )
        yield Mutation(place, "removed", _changed(values, path, lambda at, key: at.pop(key)))
        if isinstance(path[-1], str):
            yield Mutation(place, "renamed", _changed(values, path, _rename))
        else:
            yield Mutation(place, "doubled", _changed(values, path, _double))


def text_damage(content: bytes) -> dict[str, bytes]:
    """A file that is empty, cut short, of other bytes, or that nests too deep."""
    return {
        "empty": b"",
        "cut in the middle": content[: len(content) // 2],
        "last bytes missing": content[:-3],
        "no UTF-8": b"\xff\xfe\x00" + content,
        "zeros": bytes(len(content)),
        "another format": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "nested deep": b"[" * 2_000,
    }


def outcome(read: Callable[..., object], *arguments: Any) -> str:
    """``accepted``, ``refused``, or what else came out of ``read``, which no user should see."""
    try:
        read(*arguments)
    except SparseSpeechError as error:
        return "refused" if str(error).strip() else f"no message in {type(error).__name__}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "accepted"


def _paths(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key; of a list, the first and the last entry stand for all."""
    if isinstance(values, dict):
        keys: list[Any] = list(values)
    elif isinstance(values, list):
        keys = sorted({0, len(values) - 1}) if values else []
    else:
        return
    for key in keys:
        yield (*path, key)
        yield from _paths(values[key], (*path, key))


def _changed(values: Any, path: tuple[Any, ...], change: Callable[[Any, Any], object]) -> Any:
    values = copy.deepcopy(values)
    place = values
    for key in path[:-1]:
        place = place[key]
    change(place, path[-1])
    return values


def _set(place: Any, key: Any, value: Any) -> None:
    place[key] = value


def _rename(place: Any, key: str) -> None:
    place[f"{key}x"] = place.pop(key)


def _double(place: Any, key: int) -> None:
    place.insert(key, copy.deepcopy(place[key]))
