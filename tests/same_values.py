"""Whether two nested values are the same to the bit, for tests of what survives a file."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def assert_same(first: Any, second: Any, where: str) -> None:
    """Equality of types, dtypes, shapes and bits, all the way down; arrays are read-only."""
    assert type(first) is type(second), where
    if is_dataclass(first):
        for field in fields(first):
            name = field.name
            assert_same(getattr(first, name), getattr(second, name), f"{where}.{name}")
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype and first.shape == second.shape, where
        assert first.tobytes() == second.tobytes(), where
        assert not second.flags.writeable, where
    elif isinstance(first, tuple):
        assert len(first) == len(second), where
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key, value in first.items():
            assert_same(value, second[key], f"{where}[{key!r}]")
    else:
        assert first == second, where
