"""Files to attack, and ways to change one thing in them.

An attack is built by taking a valid file apart, changing one thing and sealing it again, so that
the rule it aims at is really reached; its name maps to the file's bytes and to a regular
expression for the one error the reader must give.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsespeech.model_file.container import Container, parse, seal, serialise
from sparsespeech.model_file.writer import encode_model
from tests.random_models import random_integer_model

Tensors = dict[str, NDArray[Any]]


class Attack(NamedTuple):
    """Bytes of a file and a pattern of its error."""

    content: bytes
    error: str


def small_file(**kind: Any) -> bytes:
    """A valid file of about 12 kB; ``kind`` as for ``random_integer_model``."""
    rng = np.random.default_rng(7)
    settings = {"hidden": 3, "coefficients": 4, "context": 1, "labels": 5, "sparsity": 0.4}
    return encode_model(random_integer_model(rng, **(settings | kind)))


PLAIN = small_file()
PROJECTED = small_file(projection=2, peephole=True, per_row=True)
WIDE = small_file(wide=True)
CONVOLVED = small_file(convolution=True)
MATRIX = "layer1.weights"  # a matrix of each of them, [3, 12] in the plain one


# ---- ways to change one thing ----------------------------------------------------------------


def with_manifest(change: Callable[[dict[str, Any]], object], base: bytes = PLAIN) -> bytes:
    """``base`` with its manifest changed in place, digests made anew."""
    manifest, tensors = parse(base)
    manifest = copy.deepcopy(manifest)
    change(manifest)
    return serialise(Container(manifest, tensors))


def with_tensors(change: Callable[[Tensors], object], base: bytes = PLAIN) -> bytes:
    """``base`` with its dictionary of writable tensors changed in place, digests made anew."""
    manifest, tensors = parse(base)
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    change(tensors)
    return serialise(Container(manifest, tensors))


def with_entry(name: str, index: Any, value: Any, base: bytes = PLAIN) -> bytes:
    """``base`` with one entry of one tensor set."""
    return with_tensors(lambda tensors: tensors[name].__setitem__(index, value), base)


def with_tensor(name: str, tensor: NDArray[Any], base: bytes = PLAIN) -> bytes:
    """``base`` with one tensor replaced or added."""
    return with_tensors(lambda tensors: tensors.__setitem__(name, tensor), base)


def split(content: bytes) -> tuple[str, bytes]:
    """Header text without padding, and the tensors' bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end].decode().rstrip(), content[end:]


def with_header_text(change: Callable[[str], str], base: bytes = PLAIN) -> bytes:
    """``base`` with its header text rewritten and sealed."""
    header, buffer = split(base)
    return seal(change(header).encode()) + buffer


def with_header_words(old: str, new: str) -> bytes:
    """The plain file with the first ``old`` of its header's text replaced by ``new``."""
    return with_header_text(lambda text: text.replace(old, new, 1))


def with_directory(change: Callable[[dict[str, Any]], object], base: bytes = PLAIN) -> bytes:
    """``base`` with the header's JSON object changed in place; manifest and tensors untouched."""
    header, buffer = split(base)
    values = json.loads(header)
    change(values)
    return seal(json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()) + buffer


def with_manifest_text(change: Callable[[str], str], base: bytes = PLAIN) -> bytes:
    """``base`` with the text of its manifest rewritten."""

    def rewrite(values: dict[str, Any]) -> None:
        values["__metadata__"]["manifest"] = change(values["__metadata__"]["manifest"])

    return with_directory(rewrite, base)


def set_in(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change that sets the entry at a dotted ``path`` of a JSON object."""
    *parents, last = [int(word) if word.isdigit() else word for word in path.split(".")]

    def change(values: Any) -> None:
        for word in parents:
            values = values[word]
        values[last] = value

    return change


def remove(name: str) -> Callable[[dict[str, Any]], object]:
    """A change that takes one key out of a dictionary."""
    return lambda values: values.pop(name)
