"""Everything a user can get wrong with compile, simulate and a simulated backend: one line each."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from tests.compiled_programs import GRID, small_model, small_program
from tests.fuzz import forged_programs
from tests.scripted_backend import babble

Refused = Callable[..., None]


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """Runs a command that must fail in one line that holds ``parts``, and change no file."""

    def command(arguments: tuple[object, ...], *parts: str) -> None:
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert (status, captured.out) == (2, "")
        assert captured.err.startswith("sparsespeech: error: ")
        assert captured.err.count("\n") == 1, captured.err
        assert all(part in captured.err for part in parts), captured.err
        after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert after == before

    return command


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "a.program"
    small_program(1).save(path)
    return path


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "x.wav", babble(0.2), 16_000)
    return tmp_path / "x.wav"


OVERRIDES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cores": ("cores = 1000000000", ("cores = 1000000000", "at most 4, the sites of the grid")),
    "grid": ("cores = 4\ngrid_rows = 100000", ("grid_rows = 100000, expected at most 64",)),
    "three slots": ("slots = 3", ("slots = 3, expected a power of two",)),
    "negative slots": ("slots = -16", ("slots = -16, expected more than 0",)),
    "many slots": ("slots = 1048576", ("slots = 1048576, expected at most 256",)),
    "no slot": ("slots = 0", ("slots = 0, expected more than 0",)),
    "lanes": ("row_lanes = 6", ("row_lanes = 6, expected a multiple of the 4 gates",)),
    "windows": ("windows = 1048576", ("windows = 1048576, expected at most 1,024",)),
    "words": ("weight_words = 1000000000000", ("weight_words", "expected at most 1,048,576")),
    "frequency": ("frequency_mhz = 1e300", ("frequency_mhz", "expected at most 100,000")),
    "infinite": ("frequency_mhz = inf", ("frequency_mhz = inf, expected float",)),
    "sums": ("partial_sum_bits = 64\nflit_bits = 256", ("partial_sum_bits = 64", "at most 62")),
    "stage": ("[stages]\nhop = 1000000000", ("stages.hop = 1000000000, expected 1 to 1000",)),
    "early": ("[stages]\nhop = -1", ("stages.hop = -1, expected 1 to 1000",)),
    "stages": ("stages = 3", ("stages = 3, expected a table",)),
    "bool": ("cores = true", ("cores = True, expected int",)),
    "unknown": ("core = 3", ("unknown key 'core'; known: name, device",)),
    "syntax": ("cores = ", ("c.toml: cannot be read as TOML",)),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_overrides_that_cannot_be(refused: Refused, tmp_path: Path, case: str) -> None:
    text, parts = OVERRIDES[case]
    (tmp_path / "c.toml").write_text(text)
    write_model(small_model(), tmp_path / "m.safetensors")
    arguments = ("compile", tmp_path / "m.safetensors", "--target", "tiny")
    refused((*arguments, "--config", tmp_path / "c.toml"), *parts)


def test_overrides_that_cannot_be_read(refused: Refused, tmp_path: Path) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    (tmp_path / "c.toml").write_bytes(b"\xff\xfe")
    base = ("compile", tmp_path / "m.safetensors", "--config")
    refused((*base, tmp_path / "c.toml"), "c.toml: cannot be read as TOML")
    refused((*base, tmp_path), f"{tmp_path}: cannot be read: Is a directory")
    refused((*base, tmp_path / "none.toml"), "none.toml: cannot be read: No such file")


def test_model_too_large_names_matrix_need_limit_and_a_target(
    refused: Refused, tmp_path: Path
) -> None:
    write_model(small_model(hidden=64), tmp_path / "m.safetensors")
    base = ("compile", tmp_path / "m.safetensors", "--target", "tiny", "--output")
    refused(
        (*base, tmp_path / "a.program"),
        "needs ",
        "tiny has 4",
        "largest matrix layer3.",
        "256 x ",
        "memory holds 256 words",
        "--target mau-stratix10",
    )


def test_activations_wider_than_those_of_the_accelerator(refused: Refused, tmp_path: Path) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    (tmp_path / "c.toml").write_text("activation_bits = 4")
    base = ("compile", tmp_path / "m.safetensors", "--config", tmp_path / "c.toml")
    refused(base, "activations of 4 bit, the model needs 8", "activation_bits = 8")


PROGRAMS: dict[str, tuple[Callable[[bytes], bytes], tuple[str, ...]]] = {
    "flipped bit": (lambda raw: raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:], ("SHA-256 differs",)),
    "cut": (lambda raw: raw[:1000], ("the file is damaged",)),
    "empty": (lambda raw: b"", ("a.program",)),
    "other text": (lambda raw: b"hello", ("a.program",)),
    "other grid": (
        lambda raw: forged_programs.with_manifest(
            lambda manifest: manifest["config"].update(TARGETS["mau-stratix10"].to_json())
        ),
        ("expected int64[64, words]",),
    ),
    "absurd grid": (
        lambda raw: forged_programs.with_manifest(
            lambda manifest: manifest["config"].update(slots=2**20)
        ),
        ("slots = 1048576, expected at most 256",),
    ),
}


@pytest.mark.parametrize("command", ["simulate", "transcribe"])
@pytest.mark.parametrize("case", PROGRAMS)
def test_programs_that_cannot_be(
    refused: Refused, program: Path, audio: Path, case: str, command: str
) -> None:
    change, parts = PROGRAMS[case]
    program.write_bytes(change(program.read_bytes()))
    first = (command, program) if command == "simulate" else (command, "--model", program)
    refused((*first, audio), "a.program", *parts)


def test_program_that_is_not_there(refused: Refused, audio: Path, tmp_path: Path) -> None:
    refused(("simulate", tmp_path / "b.program", audio), "No such file", "`sparsespeech compile")


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "projected": ({"projection": 4}, "projects its outputs"),
    "peephole": ({"peephole": True}, "has peephole weights"),
    "wide": ({"wide": True}, "wide mode"),
    "convolution": ({"convolution": True}, "is a convolution"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_models_that_the_simulator_does_not_run(
    refused: Refused, audio: Path, tmp_path: Path, kind: str
) -> None:
    choices, why = KINDS[kind]
    model = tmp_path / "m.safetensors"
    write_model(small_model(**choices), model)
    refused(("transcribe", "--backend", "simulator", "--model", model, audio), why)
    refused(("simulate", model, audio), "m.safetensors", "`sparsespeech compile`")


def test_utterance_longer_than_the_sequence_memory(
    refused: Refused, program: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "long.wav", babble(3.0), 16_000)
    refused(("simulate", program, tmp_path / "long.wav"), "150 frames", "sequence memory", "holds")


def test_recording_of_no_frames(refused: Refused, program: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", babble(0.0), 16_000)
    refused(("simulate", program, tmp_path / "none.wav"), "none.wav", "no samples")


def test_two_outputs_in_one_file(refused: Refused, program: Path, audio: Path) -> None:
    path = audio.with_name("t")
    refused(("simulate", program, audio, "--trace", path, "--vcd", path), "--vcd", "of --trace too")


def test_folder_that_cannot_be_written(
    refused: Refused, program: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    path = audio.with_name("t.json")
    refused(("simulate", program, audio, "--trace", path), "t.json", "that you can write")


def test_a_full_disk_leaves_none_of_the_files(
    refused: Refused, program: Path, audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of two files fails; an old first one stays as it was."""
    trace, dump = audio.with_name("t.json"), audio.with_name("t.vcd")
    trace.write_text("old")
    synced: list[int] = []

    def full(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    arguments = ("simulate", program, audio, "--trace", trace, "--vcd", dump)
    refused(arguments, "t.vcd: No space left on device")


def test_plans_that_cannot_be_written(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    (tmp_path / "file").write_text("")
    arguments = ("compile", tmp_path / "m.safetensors", "--dump", tmp_path / "file" / "plans")
    refused(arguments, "file/plans: Not a directory")


def test_one_slot_is_too_few(refused: Refused, tmp_path: Path) -> None:
    write_model(small_model(), tmp_path / "m.safetensors")
    values = replace(GRID, slots=1).to_json()
    del values["stages"], values["reference_power_watts"]
    lines = [f"{key} = {value!r}".replace("False", "false") for key, value in values.items()]
    (tmp_path / "c.toml").write_text("\n".join(lines).replace("'", '"'))
    base = ("compile", tmp_path / "m.safetensors", "--target", "tiny", "--config")
    refused((*base, tmp_path / "c.toml"), "overloaded", "wheel of 1; set slots = 2")
