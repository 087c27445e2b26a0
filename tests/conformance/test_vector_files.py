"""The checked-in vectors are what the reference writes today, and anyone can read them."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from sparsespeech.integer_arithmetic import test_vectors as vector_writer
from sparsespeech.integer_arithmetic.vector_cases import storage

FOLDER = Path(__file__).parent / "vectors"


def test_writing_again_gives_the_same_bytes(tmp_path):
    assert vector_writer.main([str(tmp_path / "new")]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    stored = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert sorted(written) == sorted(stored)
    assert [name for name in written if written[name] != stored[name]] == []


def test_no_folder_is_a_usage_error(capsys):
    assert vector_writer.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_sha256sums_names_every_file():
    lines = (FOLDER / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert set(sums) == {path.name for path in FOLDER.iterdir()} - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_all_vectors_together_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 1_000_000


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_the_safetensors_library_reads_the_same_tensors(path):
    ours, theirs = storage.read(path).tensors, load_file(path)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor, strict=True)


def test_every_rule_has_a_vector():
    rules = {rule for path in FOLDER.glob("*.safetensors") for rule in storage.read(path).rules}
    assert rules == {f"R{number}" for number in range(1, 14)}
