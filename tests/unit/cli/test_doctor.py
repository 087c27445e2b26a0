from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy
import soundfile

from sparsespeech import __version__
from sparsespeech.cli.main import main
from sparsespeech.model_file.writer import write_model
from tests.fake_engine import put_fake_engine
from tests.random_models import random_integer_model
from tests.scripted_backend import babble


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    write_model(random_integer_model(np.random.default_rng(7), hidden=8), path)
    return str(path)


def arpa(path: Path, *words: str) -> str:
    entries = "".join(f"-1.0 {word}\n" for word in ("<s>", "</s>", *words))
    path.write_text(f"\\data\\\nngram 1={2 + len(words)}\n\\1-grams:\n{entries}\\end\\\n")
    return str(path)


def test_facts(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["sparsespeech"], report["python"]) == (__version__, platform.python_version())
    assert report["libraries"]["numpy"] == np.__version__
    assert report["libraries"]["scipy"] == scipy.__version__
    assert report["libraries"]["soundfile"] == soundfile.__version__
    assert report["backends"]["reference"]["ok"]
    assert 1 <= report["threads"]["usable"] <= report["threads"]["processors"]
    assert set(report["synthesizers"]) == {"flite", "espeak-ng", "festival"}
    assert set(report["extras"]) == {"train", "media", "tensorboard", "bench"}


def test_bundled_models_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    models = json.loads(capsys.readouterr().out)["models"]
    assert all(findings["ok"] for findings in models.values())


def test_screen_of_a_healthy_installation(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "a.wav"
    soundfile.write(audio, babble(1.0)[::2], 8000)
    lm = arpa(tmp_path / "lm.arpa", "good", "day")
    assert main(["doctor", "--model", model, "--lm", lm, "--audio", str(audio)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    shown = " ".join(captured.out.split())
    for part in (f"sparsespeech {__version__}", "instruction sets", "usable", "reference ok in",
                 "native engine", "train", "flite", "language model ok", "sample rate hz 8000",
                 "holds speech True"):  # fmt: skip
        assert part in shown, part


def test_look_ahead_is_stated(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(7)
    streaming = tmp_path / "uni.safetensors"
    write_model(random_integer_model(rng, hidden=8, bidirectional=False), streaming)
    for path, look_ahead in ((str(streaming), 180), (model, None)):
        assert main(["doctor", "--model", path, "--json"]) == 0
        findings = json.loads(capsys.readouterr().out)["models"][path]
        assert findings["look_ahead_ms"] == look_ahead


def test_every_failed_check_is_a_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lm = arpa(tmp_path / "lm.arpa", "да", "нет")
    audio = tmp_path / "none.wav"
    arguments = ["doctor", "--model", model, "--lm", lm, "--audio", str(audio), "--json"]
    assert main(arguments) == 2
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["models"][model]["ok"]
    assert not report["language_model"]["ok"]
    assert "no such file" in report["audio"]["error"]
    assert captured.err.count("sparsespeech: error: ") == captured.err.count("\n") == 2


# ---- the native engine ------------------------------------------------------------------------


def engine_report(capsys: pytest.CaptureFixture[str], status: int = 0) -> dict[str, Any]:
    assert main(["doctor", "--json"]) == status
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_engine_that_was_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_fake_engine(monkeypatch)
    monkeypatch.delenv("SPARSESPEECH_CPU_ISA", raising=False)
    monkeypatch.delenv("SPARSESPEECH_THREADS", raising=False)
    report = engine_report(capsys)
    engine = report["native_engine"]
    assert (engine["ok"], engine["built"], engine["kernels"]) == (True, True, "avx2")
    assert engine["available"] == ["scalar", "avx2"]
    assert engine["threads"] == report["threads"]["usable"]
    assert report["default_backend"] == "cpu"
    assert set(report["backends"]) == {"cpu", "reference", "simulator"}
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "scalar")
    monkeypatch.setenv("SPARSESPEECH_THREADS", "7")
    engine = engine_report(capsys)["native_engine"]
    assert (engine["kernels"], engine["SPARSESPEECH_CPU_ISA"]) == ("scalar", "scalar")
    assert (engine["threads"], engine["SPARSESPEECH_THREADS"]) == (7, "7")
    assert main(["doctor"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in ("kernels scalar", "available scalar, avx2", "threads 7", "CPU ISA scalar",
                 "default cpu"):  # fmt: skip
        assert part in shown, part


def test_engine_that_was_not_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "sparsespeech._native", None)
    report = engine_report(capsys)
    assert (report["native_engine"]["ok"], report["native_engine"]["built"]) == (True, False)
    assert report["default_backend"] == "reference"
    assert set(report["backends"]) == {"reference", "simulator"}
    assert main(["doctor"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "not built: no C++20 compiler was found" in " ".join(captured.out.split())


def test_instruction_set_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_fake_engine(monkeypatch)
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "amx")
    assert main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("sparsespeech: error: SPARSESPEECH_CPU_ISA asks for amx")
    assert "FAILED" in captured.out


# ---- models and recordings --------------------------------------------------------------------


def test_missing_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", "nothing"]) == 2
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert captured.err.count("\n") == 1


def test_language_model_needs_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--lm", "x.arpa"]) == 2
    assert "--lm needs --model" in capsys.readouterr().err


def test_audio_probe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    audio = tmp_path / "a.wav"
    samples = np.stack([np.zeros(8000), np.zeros(8000)], axis=1)
    samples[100] = 1.5
    soundfile.write(audio, samples, 16_000, subtype="FLOAT")
    assert main(["doctor", "--audio", str(audio), "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["audio"]
    assert (findings["channels"], findings["clipped_samples"]) == (2, 2)
    assert findings["duration_s"] == 0.5
