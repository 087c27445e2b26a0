from __future__ import annotations

import json
from pathlib import Path

import jiwer
import numpy as np
import pytest
import soundfile

from sparsespeech.cli.demo import demo_manifest
from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.writer import write_model
from tests.random_models import random_integer_model
from tests.scripted_backend import ScriptedExecutor

LARGEST_BYTES = 400_000


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, IntegerModel]:
    integer_model = random_integer_model(np.random.default_rng(7), hidden=8)
    write_model(integer_model, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors", integer_model


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recording is heard as the first sentence."""
    first = read_manifest(demo_manifest())[0].text
    monkeypatch.setattr(
        "sparsespeech.recogniser.load_backend",
        lambda name: lambda model, threads: ScriptedExecutor(model, first),
    )


def test_bundled_recordings() -> None:
    utterances = read_manifest(demo_manifest())
    assert len(utterances) >= 6
    assert len({utterance.speaker for utterance in utterances}) >= 3
    assert {utterance.speaker.split("/")[0] for utterance in utterances} == {"flite", "espeak"}
    for utterance in utterances:
        information = soundfile.info(utterance.audio_filepath)
        assert (information.samplerate, information.channels) == (16_000, 1)
        assert 1.5 < information.duration < 4.5
        assert information.duration == pytest.approx(utterance.duration, abs=1e-3)
        assert set(utterance.text) <= set("abcdefghijklmnopqrstuvwxyz' ")
    folder = demo_manifest().parent
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST_BYTES


@pytest.mark.usefixtures("heard")
def test_json(model: tuple[Path, IntegerModel], capsys: pytest.CaptureFixture[str]) -> None:
    path, integer_model = model
    assert main(["demo", "--model", str(path), "--json"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out)
    assert captured.err == ""

    utterances = read_manifest(demo_manifest())
    references = [utterance.text for utterance in utterances]
    assert [entry["reference"] for entry in figures["utterances"]] == references
    assert {entry["text"] for entry in figures["utterances"]} == {references[0]}
    texts = [references[0]] * len(references)
    assert figures["wer"] == pytest.approx(100 * jiwer.wer(references, texts), abs=0.01)
    assert figures["bytes_stored"] == path.stat().st_size
    matrices = [layer.weights for layer in integer_model.layers if hasattr(layer, "weights")]
    assert figures["nonzeros"] > sum(matrix.nonzeros for matrix in matrices)
    assert figures["bytes_dense_float32"] == 4 * figures["parameters"]
    assert 0.7 < figures["sparsity"] < 0.9
    assert figures["duration_s"] == pytest.approx(sum(u.duration for u in utterances), abs=0.01)

    stages = {entry["stage"]: entry["seconds"] for entry in figures["timing"]}
    assert list(stages)[:2] == ["audio", "features"]
    assert list(stages)[-3:] == ["softmax", "decoding", "end to end"]
    assert figures["times_real_time"] == pytest.approx(
        figures["duration_s"] / stages["end to end"], rel=0.01
    )


@pytest.mark.usefixtures("heard")
def test_screen(model: tuple[Path, IntegerModel], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--model", str(model[0])]) == 0
    out = capsys.readouterr().out
    for part in ("flite/slt", "recognised", "word error rate", "parameters", "nonzero weights",
                 "sparse", "bytes stored", "features", "end to end", "real time"):  # fmt: skip
        assert part in out, part


def test_missing_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--model", "no-such-model"]) == 2
    assert capsys.readouterr().err.startswith("sparsespeech: error: no-such-model: no such model")


def test_default_model_is_a_bundled_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from sparsespeech.cli import default_model as module
    from sparsespeech.errors import ModelFileError

    bundled = {"an4": Path("an4"), "english-medium": Path("e"), "other": Path("o")}
    monkeypatch.setattr(module, "bundled_models", lambda: bundled)
    assert module.default_model() == "english-medium"
    del bundled["english-medium"]
    assert module.default_model() == "an4"
    bundled.clear()
    with pytest.raises(ModelFileError, match="holds no model; name one with --model"):
        module.default_model()
