"""Damage by accident: flipped bits, files cut short, bytes added, taken out or exchanged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sparsespeech.errors import ModelFileError
from sparsespeech.graph import Graph
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import decode_model
from sparsespeech.model_file.writer import encode_model
from tests.random_models import random_integer_model


def tiny_model() -> IntegerModel:
    """An output layer alone: a file of about 4 kB."""
    model = random_integer_model(
        np.random.default_rng(3), hidden=2, coefficients=2, context=0, labels=2, sparsity=0.3
    )
    output = replace(model.graph.layers[-1], inputs=2)
    return replace(model, graph=Graph((output,)), layers=model.layers[-1:], training=None)


def loads(content: bytes | bytearray) -> bool:
    """True if the reader takes the bytes; any error but ModelFileError fails the test."""
    try:
        decode_model(bytes(content))
    except ModelFileError as error:
        assert str(error).isprintable()
        return False
    return True


def flipped(content: bytes, bit: int) -> bytearray:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return damaged


def test_the_undamaged_file_loads() -> None:
    assert loads(encode_model(tiny_model()))


def test_no_flipped_bit_of_a_tiny_file_loads() -> None:
    content = encode_model(tiny_model())
    bits = np.random.default_rng(11).permutation(8 * len(content))[:4000]
    assert [bit for bit in bits if loads(flipped(content, int(bit)))] == []


@pytest.mark.slow
def test_no_flipped_bit_at_all_of_a_tiny_file_loads() -> None:
    content = encode_model(tiny_model())
    assert [bit for bit in range(8 * len(content)) if loads(flipped(content, bit))] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        {"hidden": 256, "sparsity": 0.9},
        {"hidden": 3, "projection": 2, "peephole": True, "per_row": True, "convolution": True},
    ],
)
def test_no_random_flip_of_a_larger_file_loads(kind: dict[str, Any]) -> None:
    rng = np.random.default_rng(11)
    content = encode_model(random_integer_model(rng, **kind))
    bits = rng.integers(0, 8 * len(content), 5000)
    assert [bit for bit in bits if loads(flipped(content, int(bit)))] == []


def test_no_truncated_file_loads() -> None:
    content = encode_model(tiny_model())
    assert [length for length in range(len(content)) if loads(content[:length])] == []


def test_no_file_with_bytes_added_loads() -> None:
    content = encode_model(tiny_model())
    for added in (b"\0", b" ", b"\n", b"}", bytes(8), bytes(4096), content):
        assert not loads(content + added)
        assert not loads(added + content)


def test_no_file_with_a_byte_taken_out_or_put_in_loads() -> None:
    content = encode_model(tiny_model())
    for place in np.random.default_rng(11).integers(0, len(content), 300):
        assert not loads(content[:place] + content[place + 1 :])
        assert not loads(content[:place] + b"\x20" + content[place:])


def test_no_file_with_two_blocks_exchanged_loads() -> None:
    content = encode_model(random_integer_model(np.random.default_rng(1), hidden=8))
    rng = np.random.default_rng(11)
    for _ in range(200):
        first, second = sorted(rng.integers(0, len(content) - 16, 2))
        damaged = bytearray(content)
        damaged[first : first + 16] = content[second : second + 16]
        damaged[second : second + 16] = content[first : first + 16]
        assert damaged == content or not loads(damaged)
