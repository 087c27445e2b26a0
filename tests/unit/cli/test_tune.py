from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.cli.main import main
from sparsespeech.cpu_engine.packed_cache import cache_files
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import load
from tests.random_models import random_integer_model


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    pytest.importorskip("sparsespeech._native", reason="the engine was not built")
    monkeypatch.setenv("SPARSESPEECH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    write_model(random_integer_model(np.random.default_rng(7), hidden=48), path)
    return str(path)


def tune(model: str, *options: str) -> int:
    return main(["tune", model, "--seconds", "1", *options])


def test_a_model_is_tuned_once(
    model: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tune(model) == 0
    first = capsys.readouterr()
    (path,) = cache_files()
    assert path.parent == folder
    assert "turns of the search" in first.out
    assert f"kept in {path}" in first.out.replace("\n", "")
    assert "tuned before" not in first.out
    written = path.stat().st_mtime_ns
    assert tune(model) == 0
    assert "tuned before; --force repeats it" in " ".join(capsys.readouterr().out.split())
    assert path.stat().st_mtime_ns == written
    assert tune(model, "--force") == 0
    assert path.stat().st_mtime_ns > written
    assert main(["doctor", "--model", model]) == 0


def test_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(model, "--json", "--threads", "2", "--seed", "5") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["searched"]
    assert (report["threads"], report["seed"]) == (2, 5)
    assert [str(path) for path in cache_files()] == [report["file"]]
    assert len(report["packed_bytes"]) == 2
    assert tune(model, "--json", "--threads", "2", "--check") == 0
    again = json.loads(capsys.readouterr().out)
    assert again == {**report, "searched": False}


def test_check(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(model, "--check") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert f"is not there: {model} is not tuned" in message
    assert f"run `sparsespeech tune {model}`" in message
    assert cache_files() == []
    tune(model)
    (path,) = cache_files()
    assert tune(model, "--check") == 0
    path.write_bytes(path.read_bytes()[:-5])
    capsys.readouterr()
    for options in (["--check"], []):
        assert tune(model, *options) == 2
        message = capsys.readouterr().err
        assert message.count("\n") == 1
        assert str(path) in message
        assert "tune --clear" in message
    assert tune(model, "--force") == 0
    assert tune(model, "--check") == 0


def test_a_broken_cache_is_named_by_every_command(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(model)
    (path,) = cache_files()
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    capsys.readouterr()
    assert main(["doctor", "--model", model, "--json"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"sparsespeech: error: {path}: ")
    assert message.count("\n") == 1
    assert main(["tune", "--clear"]) == 0
    load(model)


def test_clear(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "--clear"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"
    tune(model)
    tune(model, "--threads", "2")
    first, second = cache_files()
    capsys.readouterr()
    assert main(["tune", model, "--clear", "--threads", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": [str(second)]}
    assert cache_files() == [first]
    assert main(["tune", "--clear"]) == 0
    assert capsys.readouterr().out == f"removed {first}\n"
    assert cache_files() == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--check"],
        ["m", "--check", "--clear"],
        ["m", "--force", "--clear"],
        ["m", "--seconds", "0"],
    ],
)
def test_impossible_requests(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *arguments]) == 2
    assert "see 'sparsespeech tune --help'" in capsys.readouterr().err


def test_a_model_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "nowhere"]) == 2
    assert "no such model file" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv("SPARSESPEECH_CACHE_DIR", str(file))
    assert tune(model) == 2
    message = capsys.readouterr().err
    assert str(file) in message
    assert message.count("\n") == 1
