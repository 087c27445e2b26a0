from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsespeech.cli.main import main
from sparsespeech.model_file.reader import read_model
from sparsespeech.model_file.statistics import layer_matrices
from sparsespeech.model_file.writer import encode_model, write_model
from tests.foreign_network import describe
from tests.random_models import random_integer_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = random_integer_model(np.random.default_rng(0), hidden=24, sparsity=0.9)
    write_model(model, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_huffman_alone_keeps_every_bit(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = path.with_name("small.safetensors")
    assert main(["compress", str(path), "--output", str(output), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    read = read_model(output)
    assert read.encoding == "huffman"
    assert encode_model(replace(read, encoding="gap8")) == path.read_bytes()
    assert figures["bytes_before"] == path.stat().st_size
    assert figures["bytes_stored"] == output.stat().st_size
    assert figures["codebook"] is None
    stored = [rung for rung in figures["ladder"] if rung["stored"]]
    assert [(rung["name"], rung["bytes"]) for rung in stored] == [
        ("huffman", output.stat().st_size)
    ]


@pytest.mark.parametrize("options", [[], ["--no-huffman"], ["--initialisation", "linear"]])
def test_codebook_leaves_few_values(
    options: list[str], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = path.with_name("small.safetensors")
    command = ["compress", str(path), "--codebook", "16", "--output", str(output), *options]
    assert main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    model = read_model(output)
    assert model.encoding == ("gap8" if "--no-huffman" in options else "huffman")
    matrices = dict(pair for layer in model.layers for pair in layer_matrices(layer))
    assert [matrix["name"] for matrix in figures["matrices"]] == list(matrices)
    for matrix in figures["matrices"]:
        assert matrix["values"] == np.unique(matrices[matrix["name"]].value).size <= 16
    assert figures["initialisation"] == ("linear" if "linear" in options else "optimal")


def test_a_coded_file_can_be_written_as_a_normal_one(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small, back = path.with_name("small.safetensors"), path.with_name("back.safetensors")
    assert main(["compress", str(path), "--output", str(small)]) == 0
    assert main(["compress", str(small), "--no-huffman", "--output", str(back)]) == 0
    assert back.read_bytes() == path.read_bytes()
    shown = capsys.readouterr().out
    assert "Huffman *" in shown
    assert "sparse int8 *" in shown
    assert f"written: {back}" in shown


def test_tables_show_each_matrix_and_rung(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = path.with_name("small.safetensors")
    assert main(["compress", str(path), "--codebook", "32", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    for words in ("layer3.backward.recurrent_weights", "signal to change", "entropy bound", " dB"):
        assert words in shown


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--output", "x.bin"], "give a file NAME.safetensors"),
        (["--output", "absent/x.safetensors"], "in a folder that exists"),
        (["--output", "x.safetensors", "--retrain-steps", "5"], "only checkpoints can be"),
        (["--output", "x.safetensors", "--learning-rate", "0.1"], "only checkpoints can be"),
        (["--output", "x.safetensors", "--codebook", "1"], "codebook"),
        (["--output", "x.safetensors", "--initialisation", "linear"], "goes with --codebook"),
    ],
)
def test_wrong_options_are_one_line(
    options: list[str],
    error: str,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(path.parent)
    assert main(["compress", str(path), *options]) == 2
    captured = capsys.readouterr().err
    assert error in captured
    assert captured.count("\n") == 1
    assert [file.name for file in path.parent.iterdir()] == ["model.safetensors"]


def test_a_bundled_name_wins_over_a_run_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "english-small" / "checkpoints").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["compress", "english-small", "--output", "no/x.safetensors"]) == 2
    assert "give a file NAME.safetensors in a folder that exists" in capsys.readouterr().err
    assert main(["compress", "./english-small", "--output", "no/x.safetensors"]) == 2
    assert "a checkpoint needs --codebook" in capsys.readouterr().err


def test_an_imported_checkpoint_is_not_retrained_without_speech(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(torch.nn.Linear(5 * 26, 6).state_dict(), tmp_path / "model.pt")
    described = describe(tmp_path / "describe.yaml", features={"context": 2})
    command = ["import", str(tmp_path / "model.pt"), "--describe", str(described)]
    assert main([*command, "--output", str(tmp_path / "imported")]) == 0
    capsys.readouterr()
    command = ["compress", str(tmp_path / "imported"), "--output", str(tmp_path / "shared")]
    command += ["--codebook", "4"]
    for options, message in (
        (["--retrain-steps", "2"], "names no speech to retrain on; import the network with"),
        (["--learning-rate", "0.1"], "goes with --retrain-steps"),
    ):
        assert main([*command, *options]) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert shown.count("\n") == 1
    assert not (tmp_path / "shared").exists()
    assert main(command) == 0
