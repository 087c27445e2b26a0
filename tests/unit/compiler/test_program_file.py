"""Programs survive the file; files are replaced whole; another accelerator refuses them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech import atomic_file
from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import (
    decode_program,
    encode_program,
    load_program,
    save_program,
)
from sparsespeech.errors import ProgramFileError
from tests.random_models import random_integer_model
from tests.same_values import assert_same

TINY = TARGETS["tiny"]


def program(*, bidirectional: bool = True, per_row: bool = False) -> Program:
    model = random_integer_model(
        np.random.default_rng(7),
        hidden=6,
        coefficients=4,
        context=1,
        labels=5,
        sparsity=0.5,
        bidirectional=bidirectional,
        per_row=per_row,
    )
    return lower(model, TINY, "interleaved" if bidirectional else "paper")


@pytest.mark.parametrize("kind", [{}, {"bidirectional": False, "per_row": True}])
def test_every_field_survives_the_file(kind: dict[str, bool], tmp_path: Path) -> None:
    original = program(**kind)
    path = tmp_path / "small.program"
    original.save(path)
    assert_same(original, load_program(path, TINY), "program")


def test_equal_programs_give_equal_bytes() -> None:
    content = encode_program(program())
    assert encode_program(decode_program(content)) == content


def test_a_program_for_another_accelerator_is_refused_by_the_parameter(tmp_path: Path) -> None:
    path = tmp_path / "small.program"
    save_program(program(), path)
    with pytest.raises(ProgramFileError) as caught:
        load_program(path, replace(TINY, name="mine", staging_frames=8))
    assert str(caught.value) == (
        f"{path}: config: the program is compiled for 'tiny', this accelerator "
        "is 'mine'; compile the model with --target mine, and with the --config of "
        "this accelerator if it has one (rule P10)"
    )
    with pytest.raises(ProgramFileError, match="with staging_frames = 4, this .* with 8; compile"):
        load_program(path, replace(TINY, staging_frames=8))


def test_another_suffix_and_a_broken_program_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ProgramFileError, match=r"must end in \.program \(rule P1\)"):
        save_program(program(), tmp_path / "small.safetensors")
    original = program()
    broken = replace(original, streams=original.streams[1:])
    with pytest.raises(ProgramFileError, match=r"not written: streams: \d+, .*\(rule P9\)"):
        save_program(broken, tmp_path / "small.program")
    with pytest.raises(ProgramFileError, match=r"not written: .*facts.*|not written: manifest"):
        save_program(replace(original, facts={"x": float("nan")}), tmp_path / "small.program")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.program"
    path.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert atomic_file.os is os
    with pytest.raises(ProgramFileError, match="not written: No space left .* is unchanged"):
        save_program(program(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["small.program"]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_what_is_no_regular_file_is_refused(make: Any, error: str, tmp_path: Path) -> None:
    path = tmp_path / "small.program"
    make(path)
    with pytest.raises(ProgramFileError, match=rf"{error}.*\(rule P1\)"):
        load_program(path)


def test_a_file_above_the_cap_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "small.program"
    with path.open("wb") as stream:
        stream.truncate(2**31 + 1)
    with pytest.raises(ProgramFileError, match=r"holds 2147483649 bytes.*\(rule P1\)"):
        load_program(path)


def test_a_path_with_a_null_byte_is_refused() -> None:
    with pytest.raises(ProgramFileError, match=r"cannot be read.*\(rule P1\)"):
        load_program(Path("a\0b.program"))
