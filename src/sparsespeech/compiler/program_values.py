"""A program as JSON values and named arrays, and back: every field, with its type proved.

The classes of ``program.py`` are their own schema. Whole numbers, texts and null go to the JSON
object, a tuple becomes a list, a dataclass an object with a key for each field. Arrays go to the
tensors, under the path of their field ("chains.3.tail.bias").
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from sparsespeech.errors import ProgramFileError
from sparsespeech.model_file.canonical_json import shown
from sparsespeech.model_file.container import Tensors


def encode_value(value: Any, path: str, tensors: Tensors) -> Any:
    """JSON form of ``value``; the arrays in it are added to ``tensors``."""
    if isinstance(value, tuple):
        return [encode_value(item, f"{path}.{place}", tensors) for place, item in enumerate(value)]
    if not is_dataclass(value):
        return value
    values = {}
    for field in fields(value):
        item, where = getattr(value, field.name), f"{path}.{field.name}"
        if isinstance(item, np.ndarray):
            tensors[where] = item
        else:
            values[field.name] = encode_value(item, where, tensors)
    return values


def decode_value(hint: Any, value: Any, path: str, tensors: Tensors) -> Any:
    """The value of type ``hint`` that ``value`` describes; takes its arrays out of ``tensors``.

    Raises ProgramFileError (rules P4 and P5) that names the path.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (wanted,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else decode_value(wanted, value, path, tensors)
    if origin is Literal:
        return _accept(
            value in arguments and type(value) is str, value, f"one of {arguments}", path
        )
    if origin is tuple:
        return _decode_tuple(arguments, value, path, tensors)
    if is_dataclass(hint):
        return _decode_dataclass(hint, value, path, tensors)
    kind = {int: "a whole number", str: "a text"}[hint]
    return _accept(type(value) is hint, value, kind, path)


def _decode_tuple(arguments: Any, value: Any, path: str, tensors: Tensors) -> tuple[Any, ...]:
    _accept(isinstance(value, list), value, "a list", path)
    if arguments[-1] is not ...:
        _accept(len(value) == len(arguments), value, f"a list of {len(arguments)}", path)
    else:
        arguments = [arguments[0]] * len(value)
    return tuple(
        decode_value(hint, item, f"{path}.{place}", tensors)
        for place, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _decode_dataclass(kind: Any, value: Any, path: str, tensors: Tensors) -> Any:
    hints = get_type_hints(kind)
    arrays = {name for name, hint in hints.items() if _array_dtype(hint) is not None}
    keys = sorted(set(hints) - arrays)
    _accept(isinstance(value, dict), value, "an object", path)
    if sorted(value) != keys:
        raise ProgramFileError(f"{path}: keys must be {keys}, got {shown(sorted(value))} (rule P4)")
    return kind(
        **{name: _take(hints[name], f"{path}.{name}", tensors) for name in sorted(arrays)},
        **{
            name: decode_value(hints[name], value[name], f"{path}.{name}", tensors) for name in keys
        },
    )


def _take(hint: Any, path: str, tensors: Tensors) -> Any:
    if path not in tensors:
        raise ProgramFileError(f"tensor {path!r}: is missing (rule P5)")
    tensor, dtype = tensors.pop(path), _array_dtype(hint)
    if tensor.dtype != dtype or tensor.ndim != 2:
        raise ProgramFileError(
            f"tensor {path!r}: is {tensor.dtype.name}{list(tensor.shape)}, expected {dtype} with "
            "two axes (rule P5)"
        )
    return tensor


def _array_dtype(hint: Any) -> np.dtype[Any] | None:
    """The dtype of an ``NDArray[...]`` hint; None for any other hint."""
    if get_origin(hint) is not np.ndarray:
        return None
    (scalar,) = get_args(get_args(hint)[1])
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype


def _accept(holds: bool, value: Any, expected: str, path: str) -> Any:
    if not holds:
        raise ProgramFileError(f"{path}: must be {expected}, got {shown(value)} (rule P4)")
    return value
