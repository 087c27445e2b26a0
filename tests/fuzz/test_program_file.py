"""Hostile and damaged program files: one named error each, no crash."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import decode_program, encode_program, load_program
from sparsespeech.errors import ModelFileError, ProgramFileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Linear, Output
from sparsespeech.model_file.container import Container, parse, serialise
from tests.fuzz.bad_input import Mutation, mutations, outcome
from tests.fuzz.forged_programs import BASE
from tests.fuzz.program_attacks import PROGRAM_ATTACKS
from tests.random_models import random_model_of_graph

PARSED = parse(BASE)


def loads(content: bytes | bytearray) -> bool:
    """True if the reader takes the bytes; any error but ProgramFileError fails the test."""
    try:
        decode_program(bytes(content))
    except ProgramFileError as error:
        assert str(error).isprintable()
        return False
    return True


def test_the_undamaged_program_loads() -> None:
    assert loads(BASE)


@pytest.mark.parametrize("name", PROGRAM_ATTACKS)
def test_attack_gives_its_one_error(name: str, tmp_path: Path) -> None:
    path = tmp_path / "forged.program"
    path.write_bytes(PROGRAM_ATTACKS[name].content)
    with pytest.raises(ProgramFileError) as caught:
        load_program(path)
    message = str(caught.value)
    assert re.search(PROGRAM_ATTACKS[name].error, message), message
    assert message.startswith(f"{path}: ")
    assert re.search(r"\(rule P\d+\)$", message), message
    assert message.isprintable()
    assert len(message) <= 600
    assert caught.value.__cause__ is None


def test_every_rule_of_the_format_is_attacked(repository: Path) -> None:
    rules = (repository / "src/sparsespeech/compiler/program_file.md").read_text()
    stated = {int(number) for number in re.findall(r"^- P(\d+)\.", rules, re.MULTILINE)}
    attacked = {
        int(number)
        for attack in PROGRAM_ATTACKS.values()
        for number in re.findall(r"P(\d+)(?:\\\))?$", attack.error)
    }
    # P1 and P10 are about files and machines, not bytes: tests/unit/compiler/test_program_file.py.
    assert attacked == stated - {1, 10}


def test_no_flipped_bit_loads() -> None:
    bits = np.random.default_rng(11).permutation(8 * len(BASE))[:500]
    assert [bit for bit in bits if loads(flipped(BASE, int(bit)))] == []


@pytest.mark.slow
def test_no_flipped_bit_at_all_of_a_tiny_program_loads() -> None:
    content = tiny_program()
    assert loads(content)
    assert [bit for bit in range(8 * len(content)) if loads(flipped(content, bit))] == []


def tiny_program() -> bytes:
    """A linear and an output layer of two inputs: a file of about 8 kB."""
    graph = Graph((Linear("layer1", 2, 2), Output("layer2", 2, 3)))
    features = MfccConfig(coefficients=2, context=0)
    model = random_model_of_graph(
        np.random.default_rng(12), graph, features, labels=2, sparsity=0.5
    )
    return encode_program(lower(model, TARGETS["tiny"], "paper"))


def flipped(content: bytes, bit: int) -> bytearray:
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    return damaged


def test_no_truncated_file_loads() -> None:
    assert [length for length in range(0, len(BASE), 37) if loads(BASE[:length])] == []


def wrong_outcome(mutation: Mutation) -> str | None:
    """What came of a mutated manifest, if it was neither refused nor a legal other parameter."""
    try:
        content = serialise(Container(mutation.values, PARSED.tensors))
    except (ModelFileError, AttributeError, TypeError):
        return None  # the container cannot even write it
    programs: list[Program] = []
    found = outcome(lambda: programs.append(decode_program(content)))
    if found == "refused":
        return None
    free = mutation.place.startswith(("facts", "config.")) or content == BASE
    if found == "accepted" and free and encode_program(*programs) == content:
        return None
    return f"{mutation.place}, {mutation.change}: {found}"


@pytest.mark.parametrize(
    "places", ["mapping", r"sequences\.0\.directions$", r"tasks\.0\.core", "config$"]
)
def test_mutated_manifests_are_refused(places: str) -> None:
    wrong = [wrong_outcome(mutation) for mutation in mutations(PARSED.manifest, places)]
    assert wrong
    assert [text for text in wrong if text] == []


@pytest.mark.slow
def test_all_mutated_manifests_are_refused() -> None:
    """The reader takes any facts: those of one matrix stand for those of the others."""
    wrong = [
        wrong_outcome(mutation)
        for mutation in mutations(PARSED.manifest)
        if not re.match(r"facts\.\w+\.layer[2-9]", mutation.place)
    ]
    assert len(wrong) > 3000
    assert [text for text in wrong if text] == []
