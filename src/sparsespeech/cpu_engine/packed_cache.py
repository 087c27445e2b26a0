"""Files of what ``sparsespeech tune`` found: one for each model, processor, kernels and threads.

Axes: H units of one LSTM direction, S slots of a matrix (its rows in packed order, with padding).

A file is a container like that of a model file, so that every byte is covered by a digest. It
holds orders and choices, never weights: the worst that a forged file can do is to make the engine
slow, and the engine proves each order before it uses it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech import atomic_file, machine
from sparsespeech.errors import ModelFileError, PackedCacheError
from sparsespeech.model_file import container

CACHE_VARIABLE = "SPARSESPEECH_CACHE_DIR"
FORMAT = 1  # part of the file's name: files of other versions are never read
ALWAYS, NEVER = 0.0, 2.0  # densities from which a matrix is stored with its zeros
LARGEST_FILE = 64 * 2**20  # bytes
_SUFFIX = ".safetensors"
_UNITS, _ROWS = "units.", "rows."
SWEEP_WINDOWS, SWEEP_GROUPS = (64, 96, 128, 192, 256), (1, 2, 4)
_CHOICES: dict[str, tuple[int | float, ...]] = {
    "sweep_window": SWEEP_WINDOWS,
    "sweep_groups": SWEEP_GROUPS,
    "dense_product_from": (ALWAYS, NEVER),
    "dense_tile_from": (ALWAYS, NEVER),
}
_CURE = "remove it with `sparsespeech tune --clear`; the model then loads untuned, or tune it again"

Orders = dict[str, NDArray[np.uint32]]
Choice = dict[str, int | float]  # of one layer
Choices = dict[str, Choice]  # by name of the layer


@dataclass(frozen=True)
class CacheKey:
    """What a tuning was made for."""

    model: str  # pattern_digest of the model's layers
    processor: str
    instruction_set: str
    threads: int

    @property
    def path(self) -> Path:
        """Where its file is, if there is one."""
        return cache_folder() / f"tuned{FORMAT}-{self.model[:16]}-{_place(self)}{_SUFFIX}"


@dataclass(frozen=True)
class Tuning:
    """Orders and choices for one model on one machine, and what they brought."""

    unit_orders: Orders  # by direction: uint32[H], the unit at each place
    row_orders: Orders  # by matrix: uint32[S], the row of each slot, 2^32 - 1 for none
    layers: Choices = field(default_factory=dict)  # shapes of sweeps and dense forms
    facts: dict[str, Any] = field(default_factory=dict)  # figures of the search, plain JSON

    def options(self) -> dict[str, object]:
        """Options of ``CpuExecutor`` that take this tuning as it is."""
        return {
            "unit_orders": self.unit_orders,
            "row_orders": self.row_orders,
            "layers": self.layers,
            "search": {"column_rounds": 0, "swaps_per_row": 0},
        }


def cache_folder() -> Path:
    """SPARSESPEECH_CACHE_DIR, else ``sparsespeech`` in XDG_CACHE_HOME or ``~/.cache``."""
    if own := os.environ.get(CACHE_VARIABLE):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "sparsespeech"


def pattern_digest(layers: Sequence[dict[str, Any]]) -> str:
    """SHA-256 of where the nonzeros of described layers stand; their values do not matter here."""
    digest = hashlib.sha256()
    for layer in layers:
        _add_pattern(digest, layer)
    return digest.hexdigest()


def cache_key(layers: Sequence[dict[str, Any]], instruction_set: str, threads: int) -> CacheKey:
    """The key of described layers on this machine."""
    return CacheKey(pattern_digest(layers), machine.processor_name(), instruction_set, threads)


def find_tuning(
    layers: Sequence[dict[str, Any]], instruction_set: str, threads: int
) -> tuple[Tuning, Path] | None:
    """The tuning of described layers for this machine, and its file; None if there is none.

    Raises PackedCacheError for a file that is damaged or belongs to something else.
    """
    # Only the digest takes time, and only where a file might be the one.
    ending = f"-{_place(CacheKey('', machine.processor_name(), instruction_set, threads))}{_SUFFIX}"
    try:
        if not any(file.name.endswith(ending) for file in cache_files()):
            return None
        key = cache_key(layers, instruction_set, threads)
        if not key.path.exists():
            return None
    except (OSError, RuntimeError):  # no home folder, or none that we may look into
        return None
    return read_tuning(key), key.path


def read_tuning(key: CacheKey) -> Tuning:
    """The tuning in the file of ``key``; raises PackedCacheError if it is damaged or not there."""
    try:
        return _decode(_content(key.path), key)
    except (ModelFileError, OSError) as error:
        # Behind the first semicolon a model file's reader gives advice that is no use here.
        reason = error.strerror if isinstance(error, OSError) else str(error).split(";")[0]
        raise PackedCacheError(f"{key.path}: {reason}; {_CURE}") from None


def write_tuning(key: CacheKey, tuning: Tuning) -> Path:
    """Write the file of ``key`` at once, never half of it; raises OSError."""
    tensors = {
        prefix + name: order.astype(np.int32)  # 2^32 - 1 becomes -1
        for prefix, orders in ((_UNITS, tuning.unit_orders), (_ROWS, tuning.row_orders))
        for name, order in orders.items()
    }
    manifest = {"key": _key_json(key), "layers": tuning.layers, "facts": tuning.facts}
    content = container.serialise(container.Container(manifest, tensors))
    key.path.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(key.path, content)
    return key.path


def cache_files() -> list[Path]:
    """All files of tunings, of this version and others, in order."""
    return sorted(cache_folder().glob(f"tuned*-*{_SUFFIX}"))


def clear_cache(key: CacheKey | None = None) -> list[Path]:
    """Remove the file of ``key``, or all; returns those that were there. Raises OSError."""
    files = cache_files() if key is None else [key.path]
    found = [file for file in files if file.is_file()]
    for file in found:
        file.unlink()
    return found


def _place(key: CacheKey) -> str:
    """The part of a file's name that says where it was tuned."""
    processor = hashlib.sha256(key.processor.encode("utf-8")).hexdigest()[:8]
    return f"{processor}-{key.instruction_set}-{key.threads}"


def _key_json(key: CacheKey) -> dict[str, Any]:
    return {
        "model": key.model,
        "processor": key.processor,
        "instruction_set": key.instruction_set,
        "threads": key.threads,
    }


def _add_pattern(digest: Any, value: object) -> None:
    """Feed names, sizes and places of nonzeros, in the order of the keys."""
    if isinstance(value, dict):
        for name in sorted(value):
            if name in ("kind", "name", "rows", "columns"):
                digest.update(f"{name}={value[name]};".encode())
            elif name in ("row_start", "column"):
                digest.update(value[name])
            elif isinstance(value[name], dict | list):
                digest.update(f"{name}:".encode())
                _add_pattern(digest, value[name])
    elif isinstance(value, list):
        for each in value:
            _add_pattern(digest, each)


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        content = stream.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ModelFileError(f"holds more than {LARGEST_FILE} bytes")
    return content


def _decode(content: bytes, key: CacheKey) -> Tuning:
    """Prove the file and that it belongs to ``key``; raises ModelFileError."""
    parsed = container.parse(content)
    if set(parsed.manifest) != {"key", "layers", "facts"}:
        raise ModelFileError("manifest: expected key, layers and facts")
    if parsed.manifest["key"] != _key_json(key):
        raise ModelFileError("it was tuned for another model or machine")
    orders: dict[str, Orders] = {_UNITS: {}, _ROWS: {}}
    for name, tensor in parsed.tensors.items():
        prefix = next((prefix for prefix in orders if name.startswith(prefix)), None)
        if prefix is None or tensor.dtype != np.int32 or tensor.ndim != 1:
            raise ModelFileError(f"tensor {name!r}: expected an int32 order of units or rows")
        orders[prefix][name.removeprefix(prefix)] = tensor.astype(np.uint32)
    layers, facts = parsed.manifest["layers"], parsed.manifest["facts"]
    if not isinstance(facts, dict) or not _are_choices(layers):
        raise ModelFileError("manifest: layers or facts are not what tune writes")
    return Tuning(orders[_UNITS], orders[_ROWS], layers, facts)


def _are_choices(layers: object) -> bool:
    return isinstance(layers, dict) and all(
        isinstance(choices, dict)
        and all(name in _CHOICES and value in _CHOICES[name] for name, value in choices.items())
        and ("sweep_window" in choices) == ("sweep_groups" in choices)
        for choices in layers.values()
    )
