from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.cli.main import main
from sparsespeech.model_file.model import Encoding
from sparsespeech.model_file.statistics import model_statistics
from sparsespeech.model_file.writer import write_model
from tests.random_checkpoints import random_checkpoint, write_checkpoint
from tests.random_models import random_integer_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = random_integer_model(np.random.default_rng(0), hidden=6)
    write_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_json_is_one_object_with_the_stated_keys(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    totals = {"parameters", "nonzeros", "sparsity", "bytes_dense_float32", "bytes_stored"}
    assert set(figures) == totals | {"layers", "ladder"}
    assert figures["bytes_stored"] == path.stat().st_size
    assert figures["parameters"] == sum(layer["parameters"] for layer in figures["layers"])
    matrices = [matrix for layer in figures["layers"] for matrix in layer["matrices"]]
    assert figures["nonzeros"] == sum(matrix["nonzeros"] for matrix in matrices)
    assert matrices[0]["shape"] == [6, 494]
    assert set(matrices[0]["banks"]) == {"largest", "mean", "above_limit"}


def test_table_shows_every_matrix(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path.parent)]) == 0
    shown = capsys.readouterr().out
    for name in (
        "layer1.weights",
        "layer3.forward.input_weights",
        "layer3.backward.recurrent_weights",
        "layer5",
        "total",
    ):
        assert name in shown
    assert f"{6 * (494 + 1):,}" in shown


@pytest.mark.parametrize("encoding", ["gap8", "huffman"])
def test_ladder_marks_what_the_file_is(
    encoding: Encoding, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = random_integer_model(np.random.default_rng(0), hidden=6)
    write_model(replace(model, encoding=encoding), path)
    assert main(["inspect", str(path), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    (stored,) = [rung for rung in figures["ladder"] if rung["stored"]]
    assert stored["bytes"] == path.stat().st_size == figures["bytes_stored"]
    assert set(stored["matrices"]["layer1.weights"]) == {
        "name", "bytes", "ratio", "bits_per_nonzero",
    }  # fmt: skip
    assert main(["inspect", str(path)]) == 0
    shown = capsys.readouterr().out
    assert ("Huffman *" in shown) == (encoding == "huffman")
    assert ("sparse int8 *" in shown) == (encoding == "gap8")


def test_a_checkpoint_is_for_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = write_checkpoint(tmp_path / "run", random_checkpoint(hidden=4), {})
    for folder in (tmp_path / "run", step):
        assert main(["inspect", str(folder)]) == 2
        said = capsys.readouterr().err
        assert f"{folder}: a checkpoint of training" in said and "--html PATH" in said
        assert said.count("\n") == 1


def test_damaged_file_is_one_line_and_status_2(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "SHA-256 differs" in captured.err
    assert str(path) in captured.err


def test_unknown_name_lists_the_bundled_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "no-such-model"]) == 2
    assert "bundled model" in capsys.readouterr().err


def test_statistics_of_the_json_are_those_of_the_model(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["inspect", str(path), "--json"])
    figures = json.loads(capsys.readouterr().out)
    model = random_integer_model(np.random.default_rng(0), hidden=6)
    assert figures["sparsity"] == model_statistics(model).sparsity
