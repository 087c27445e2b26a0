"""The command ``evaluate`` on scripted executors and random models."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import Utterance, write_manifest
from sparsespeech.decoding.ngram_training import train_ngram
from sparsespeech.model_file.writer import write_model
from sparsespeech.recogniser import Recogniser
from tests.random_checkpoints import random_checkpoint, write_checkpoint
from tests.random_models import random_integer_model
from tests.scripted_backend import ScriptedExecutor, babble

TEXTS = ["the cat sat", "a dog", "the end"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Three utterances of two speakers, the last of another split."""
    utterances = []
    for number, text in enumerate(TEXTS):
        audio = tmp_path / f"{number}.wav"
        soundfile.write(audio, babble(1.0, seed=number), 16_000)
        split = "held-out" if number == 2 else "test"
        utterances.append(Utterance(audio, 1.0, text, f"speaker{number % 2}", split))
    path = tmp_path / "manifest.jsonl"
    write_manifest(path, utterances)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "random.safetensors"
    write_model(random_integer_model(np.random.default_rng(0), hidden=4), path)
    return path


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every model hear "the cat sat"."""

    def hear(recogniser: Recogniser, samples: np.ndarray) -> np.ndarray:
        executor = ScriptedExecutor(recogniser.model, "the cat sat")
        logits = executor.run(np.zeros((len(samples) // 320, 494), np.uint8))
        return np.asarray(logits * recogniser._logit_scale, np.float32)

    monkeypatch.setattr(Recogniser, "log_probabilities", hear)


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict]:
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["models"]


@pytest.mark.usefixtures("scripted")
def test_json_figures(model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (figures,) = evaluated(capsys, model, manifest, "--split", "test")
    assert figures["model"] == str(model)
    assert figures["manifest"] == str(manifest)
    assert figures["utterances"] == 2
    assert figures["wer"] == pytest.approx(100 * 3 / 5)  # "a dog" is all wrong
    assert figures["wer_low"] == 0.0
    assert figures["wer_high"] == 150.0
    assert figures["audio_s"] == pytest.approx(2.0)
    assert figures["decoder"] == "greedy"


@pytest.mark.usefixtures("scripted")
def test_report_for_people(model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(model), str(model), str(manifest)]) == 0
    report = capsys.readouterr().out
    assert "3 utterances, 7 words" in report
    assert "+0.0 [+0.0, +0.0]" in report  # the same model twice
    assert "speaker0" in report and "speaker1" in report
    worst = report.partition("Worst utterances")[2]
    assert worst.index("1.wav") < worst.index("2.wav")
    assert "0.wav" not in worst


@pytest.mark.usefixtures("scripted")
def test_limit_and_hypotheses(
    model: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "new" / "hypotheses.jsonl"
    (figures,) = evaluated(capsys, model, manifest, "--limit", 1, "--output", output)
    assert (figures["utterances"], figures["wer"]) == (1, 0.0)
    (line,) = output.read_text().splitlines()
    record = json.loads(line)
    assert record["reference"] == record["hypothesis"] == "the cat sat"
    assert record["word_errors"] == 0


@pytest.mark.usefixtures("scripted")
def test_language_model_makes_it_a_beam_search(
    model: Path, manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arpa = tmp_path / "lm.arpa"
    train_ngram([text.split() for text in TEXTS], 2).write_arpa(arpa)
    (figures,) = evaluated(capsys, model, manifest, "--lm", arpa, "--beam", 8, "--alpha", 0.5)
    assert figures["wer"] == pytest.approx(100 * 5 / 7)
    settings = {name: figures[name] for name in ("decoder", "beam", "lm", "alpha")}
    assert settings == {"decoder": "beam", "beam": 8, "lm": str(arpa), "alpha": 0.5}


def test_silence_has_no_words(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audio = tmp_path / "silence.wav"
    soundfile.write(audio, np.zeros(16_000), 16_000)
    write_manifest(tmp_path / "silence.jsonl", [Utterance(audio, 1.0, "")])
    (figures,) = evaluated(capsys, model, tmp_path / "silence.jsonl")
    assert (figures["wer"], figures["insertions"]) == (0.0, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--limit", "1"], "its utterances (1) name one speaker only, 'speaker0'"),
        (["--split", "held-out"], "its utterances (1) name one speaker only, 'speaker0'"),
    ],
)
def test_one_speaker_has_no_interval_by_speaker(
    options: list[str],
    message: str,
    model: Path,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recogniser, "log_probabilities", None)  # nothing is decoded first
    assert main(["evaluate", str(model), str(manifest), "--by-speaker", *options]) == 2
    said = capsys.readouterr().err
    assert f"{manifest}: {message}" in said and "leave out --by-speaker" in said
    assert said.count("\n") == 1


@pytest.mark.slow
def test_several_processes_find_the_same(
    model: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (alone,) = evaluated(capsys, model, manifest)
    (together,) = evaluated(capsys, model, manifest, "--jobs", 2)
    del alone["realtime_factor"], together["realtime_factor"]
    assert together == alone


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "MANIFEST", "--output", "FOLDER"], "give the path of a file in a folder"),
        (["MODEL", "MANIFEST", "--output", "MODEL/hypotheses.jsonl"], "give the path of a file"),
        (["MODEL", "english-smal", "MANIFEST"], "english-smal: no such model file"),
        (["MODEL", "RUN", "MANIFEST"], "no checkpoint here"),
    ],
)
def test_nothing_is_recognised_before_all_can_be(
    arguments: list[str],
    message: str,
    model: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Recogniser, "log_probabilities", None)
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    paths = {"MODEL": model, "MANIFEST": manifest, "FOLDER": tmp_path, "RUN": tmp_path / "run"}
    for name, path in paths.items():
        arguments = [argument.replace(name, str(path)) for argument in arguments]
    assert main(["evaluate", *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("option", [["--backend", "reference"], ["--threads", "2"]])
def test_checkpoints_run_in_torch(
    option: list[str],
    model: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    write_checkpoint(run, random_checkpoint(hidden=4, context=9, coefficients=26), {})
    assert main(["evaluate", str(run), str(manifest), *option]) == 2
    said = capsys.readouterr().err
    assert option[0] in said and "torch" in said
    assert said.count("\n") == 1
    assert main(["evaluate", str(run), str(model), str(manifest), *option]) == 0  # for the model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no-such-model", "MANIFEST"], "no-such-model"),
        (["MODEL", "absent.jsonl"], "absent.jsonl"),
        (["MODEL", "MANIFEST", "--split", "dev"], "no utterances of split 'dev'"),
        (["MODEL", "MANIFEST", "--lm", "absent.arpa"], "absent.arpa"),
        (["MODEL", "MANIFEST", "--decoder", "magic"], "magic"),
        (["MODEL", "MANIFEST", "--decoder", "greedy", "--beam", "4"], "--decoder beam"),
        (["MODEL", "MANIFEST", "--backend", "abacus"], "abacus"),
        (["MODEL", "MANIFEST", "--limit", "0"], "--limit"),
    ],
)
def test_bad_input_ends_with_status_2_and_leaves_no_file(
    arguments: list[str],
    message: str,
    model: Path,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "hypotheses.jsonl"
    given = {"MODEL": str(model), "MANIFEST": str(manifest)}
    named = [given.get(argument, argument) for argument in arguments]
    assert main(["evaluate", *named, "--output", str(output)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert not output.exists()
