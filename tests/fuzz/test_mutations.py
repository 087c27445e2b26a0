"""Random changes with valid digests: a file is refused with a named rule, or it is canonical.

Nothing but ModelFileError may leave the reader, and whatever it accepts must be written again as
the same bytes, so no file is accepted whose content is not wholly understood.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np
import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.model_file.container import Container, parse, seal, serialise
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.writer import encode_model
from tests.fuzz.coded_attacks import CODED
from tests.fuzz.forged_files import CONVOLVED, PLAIN, PROJECTED, WIDE, split, with_manifest_text

# The fast suite draws one seed, the slow one many.
SEEDS = pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 11))]
)
BASES = {
    "plain": PLAIN,
    "projected": PROJECTED,
    "wide": WIDE,
    "convolved": CONVOLVED,
    "coded": CODED,
}
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**18, 2**31,
    2**53 - 1, -(2**53) + 1, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, "", " ", "a", "layer1",
    "x" * 300, "\x00",
    "\n", "é", "[red]", [], [0], [1, 1], [[]], {}, {"": 0}, {"kind": "linear"},
]  # fmt: skip


def check(content: bytes) -> bool:
    """True if the reader accepts ``content``; then writing gives the same bytes."""
    try:
        model = decode_model(content)
    except ModelFileError as error:
        assert re.search(r"\(rule F\d+\)$", str(error)), str(error)
        assert "\n" not in str(error)
        return False
    assert encode_model(model) == content
    return True


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value, depth first."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in list(keys)]
    for _, key in list(found):
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def mutate_json(value: dict[str, Any], rng: np.random.Generator) -> None:
    """Replace, remove, add or copy one entry anywhere in a JSON object, in place."""
    all_places = places(value)
    container, key = all_places[rng.integers(len(all_places))]
    odd = ODD_VALUES[rng.integers(len(ODD_VALUES))]
    other_container, other_key = all_places[rng.integers(len(all_places))]
    match rng.integers(5):
        case 0 | 1:
            container[key] = odd
        case 2:
            del container[key]
        case 3:
            container[key] = copy.deepcopy(other_container[other_key])
        case 4 if isinstance(container, dict):
            container[f"{key}x"] = container[key]
        case 4:
            container.append(odd)


def mutate_tensor(tensors: dict[str, Any], rng: np.random.Generator) -> None:
    """Change one entry, the length, the shape or the dtype of one tensor, in place."""
    name = list(tensors)[rng.integers(len(tensors))]
    tensor = tensors[name].copy()
    choice = rng.integers(8)
    if choice <= 4 and tensor.size:
        raw = tensor.reshape(-1).view(np.uint8)  # any bit pattern, NaN among them
        raw[rng.integers(raw.size)] = rng.integers(256)
    elif choice == 5:
        tensor = tensor[:-1]
    elif choice == 6:
        tensor = np.concatenate((tensor, tensor[:1]))
    else:
        tensor = tensor.astype(rng.choice(np.array(["i1", "u1", "i2", "u2", "i4", "i8", "f4"])))
    tensors[name] = tensor


@SEEDS
@pytest.mark.parametrize("base", BASES)
def test_mutated_manifest(base: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    accepted = 0
    for _ in range(50):
        manifest, tensors = parse(BASES[base])
        mutate_json(manifest := copy.deepcopy(manifest), rng)
        accepted += check(serialise(Container(manifest, tensors)))
    assert accepted < 25  # most changes break a rule; free facts and some widths do not


@SEEDS
@pytest.mark.parametrize("base", BASES)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_mutated_tensors(base: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    accepted = 0
    for _ in range(50):
        manifest, tensors = parse(BASES[base])
        mutate_tensor(tensors := dict(tensors), rng)
        accepted += check(serialise(Container(manifest, tensors)))
    assert 0 < accepted < 50  # another weight within its bounds is another valid model


@SEEDS
def test_mutated_directory(seed: int) -> None:
    rng = np.random.default_rng(seed)
    header, buffer = split(PLAIN)
    for _ in range(100):
        values = json.loads(header)
        mutate_json(values, rng)
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        content = seal(text.encode()) + buffer
        assert content == PLAIN or not check(content)


@SEEDS
def test_mutated_manifest_text(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def replace_one(text: str) -> str:
        place = rng.integers(len(text))
        return text[:place] + '",:{}[]0-.e\\u \x00é'[rng.integers(16)] + text[place + 1 :]

    for _ in range(100):
        check(with_manifest_text(replace_one))


@SEEDS
def test_mutated_header_bytes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    header, buffer = split(PLAIN)
    raw = header.encode()
    for _ in range(100):
        damaged = bytearray(raw)
        damaged[rng.integers(40, len(raw))] = rng.integers(256)
        check(seal(bytes(damaged)) + buffer)
