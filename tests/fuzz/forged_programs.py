"""A program file to attack, and ways to change one thing in it, with digests made anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Program, Stream
from sparsespeech.compiler.program_file import encode_program
from sparsespeech.model_file.container import parse
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.writer import encode_model
from tests.fuzz import forged_files
from tests.fuzz.forged_files import Tensors, set_in
from tests.random_models import random_integer_model


def small_model() -> IntegerModel:
    """Two linear layers and an LSTM of 6 units on the accelerator."""
    return random_integer_model(
        np.random.default_rng(7),
        hidden=6,
        coefficients=4,
        context=1,
        labels=5,
        sparsity=0.5,
    )


def small_program() -> Program:
    """Both directions on the same cores."""
    return lower(small_model(), TARGETS["tiny"], "interleaved")


PROGRAM = small_program()
BASE = encode_program(PROGRAM)
LINEAR_TAIL = "chains.0.tail"


def with_manifest(change: Callable[[dict[str, Any]], object]) -> bytes:
    """The program with its manifest changed in place, digests made anew."""
    return forged_files.with_manifest(change, BASE)


def with_tensors(change: Callable[[Tensors], object]) -> bytes:
    """The program with its dictionary of writable tensors changed in place, digests made anew."""
    return forged_files.with_tensors(change, BASE)


def with_tensor(name: str, tensor: NDArray[Any]) -> bytes:
    """The program with one tensor replaced or added."""
    return forged_files.with_tensor(name, tensor, BASE)


def added(name: str, by: int, index: Any = (0, 0)) -> bytes:
    """The program with one entry of one tensor changed by ``by``."""

    def change(tensors: Tensors) -> None:
        tensors[name][index] += by

    return with_tensors(change)


def value_at(path: str) -> Any:
    """The entry at a dotted ``path`` of the manifest."""
    value: Any = parse(BASE).manifest
    for word in path.split("."):
        value = value[int(word) if word.isdigit() else word]
    return value


def moved(path: str, by: int) -> bytes:
    """The program with one number of the manifest changed by ``by``."""
    return with_manifest(set_in(path, value_at(path) + by))


def stream_of(kind: str) -> int:
    """Number of the first stream of a kind that passes a link."""
    return next(
        number
        for number, stream in enumerate(PROGRAM.streams)
        if stream.kind == kind and stream.links
    )


def credits_that_meet() -> bytes:
    """A program whose core 1 gets two credits in one cycle, over links that they do not share.

    Each direction has cores of its own; both give credits to the core that sends them frames.
    """
    config = replace(TARGETS["tiny"], grid_columns=3, cores=6)
    program = lower(small_model(), config, "paper")
    first, second = (
        number
        for number, stream in enumerate(program.streams)
        if stream.kind == "credits" and stream.sinks[0].core == 1
    )

    def arrival(stream: Stream) -> int:
        return stream.slots[0] + stream.sinks[0].hops * config.stages.hop

    late = arrival(program.streams[first]) - arrival(program.streams[second])

    def change(manifest: dict[str, Any]) -> None:
        stream = manifest["streams"][second]
        for holder in (stream, *stream["links"]):
            holder["slots"] = [(slot + late) % config.slots for slot in holder["slots"]]

    return forged_files.with_manifest(change, encode_program(program))


def exchanged(path: str, first: int, second: int) -> bytes:
    """The program with two entries of a list exchanged."""

    def change(manifest: dict[str, Any]) -> None:
        entries = manifest[path]
        entries[first], entries[second] = entries[second], entries[first]

    return with_manifest(change)


def other_model() -> bytes:
    """The bytes of a model of the same shapes with other weights."""
    model = random_integer_model(
        np.random.default_rng(8), hidden=6, coefficients=4, context=1, labels=5, sparsity=0.5
    )
    return encode_model(model)


def as_bytes(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(content, dtype=np.uint8)
