from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.cli.main import main
from sparsespeech.corpora.manifest import read_manifest


def tone(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.sin(np.arange(8000)), 16000)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three speakers in LibriSpeech layout."""
    for speaker in ("fash", "fbbh", "fclc"):
        tone(tmp_path / "set" / speaker / "an4" / f"{speaker}-an1.wav")
        transcript = tmp_path / "set" / speaker / "an4" / f"{speaker}-an4.trans.txt"
        transcript.write_text(f"{speaker}-an1 YES\n")
    return tmp_path / "set"


def test_figures_of_a_manifest_as_json(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "m.jsonl"
    assert main(["data", "librispeech", str(corpus), "--output", str(manifest), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "manifest": str(manifest),
        "utterances": 3,
        "hours": 0.0004,
        "speakers": 3,
    }
    assert [u.split for u in read_manifest(manifest)] == ["set"] * 3


def test_speakers_are_kept_or_left_out(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    command = ["data", "librispeech", str(corpus), "--output", str(manifest)]
    assert main([*command, "--speaker", "fash", "--speaker", "fclc"]) == 0
    assert [u.speaker for u in read_manifest(manifest)] == ["fash", "fclc"]
    assert main([*command, "--exclude-speaker", "fash"]) == 0
    assert [u.speaker for u in read_manifest(manifest)] == ["fbbh", "fclc"]


def test_an4_accepts_librispeech_layout_and_dev_speakers(corpus: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    command = ["data", "an4", str(corpus), "-o", str(manifest), "--dev-speaker", "fbbh"]
    assert main(command) == 0
    assert [u.split for u in read_manifest(manifest)] == ["set", "dev", "set"]
    assert main([*command, "--split", "dev"]) == 0
    assert [u.speaker for u in read_manifest(manifest)] == ["fbbh"]


def test_csv_and_folder(tmp_path: Path) -> None:
    tone(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "a.txt").write_text("Go on")
    (tmp_path / "in" / "t.csv").write_text("wav_filename,wav_filesize,transcript\na.wav,1,Stop\n")
    manifest = tmp_path / "out" / "m.jsonl"
    assert main(["data", "folder", str(tmp_path / "in"), "-o", str(manifest)]) == 0
    assert [u.text for u in read_manifest(manifest)] == ["go on"]
    assert main(["data", "csv", str(tmp_path / "in" / "t.csv"), "-o", str(manifest)]) == 0
    assert [u.text for u in read_manifest(manifest)] == ["stop"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["librispeech", "nowhere"], "nowhere: expected a folder"),
        (["an4", "."], "no etc/an4_train.fileids"),
        (["folder", "empty"], "holds no recordings"),
        (["csv", "t.csv"], "t.csv, line 2: no recording at"),
        (["librispeech", "set", "--speaker", "nobody"], "no speaker nobody"),
        (["librispeech", "set", "--download", "dev"], "unknown subset 'dev'"),
    ],
)
def test_bad_input_is_one_line_and_no_manifest(
    corpus: Path,
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "t.csv").write_text("audio,text\ngone.wav,yes\n")
    if arguments[1] == ".":
        monkeypatch.chdir(tmp_path / "empty")
    assert main(["data", *arguments, "--output", "m.jsonl"]) == 2
    error = capsys.readouterr().err.strip()
    assert complaint in error and error.startswith("sparsespeech: error: ")
    assert "\n" not in error.strip()
    assert not Path("m.jsonl").exists()


def test_a_language_model_is_trained_from_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "t.txt"
    text.write_text("The cat sat.\nThe cat ran away.\nA dog ran.\n")
    arpa = tmp_path / "lm.arpa.gz"
    command = ["data", "text-lm", str(text), "--order", "2", "--output", str(arpa)]
    assert main([*command, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    # the, cat, sat, ran, away, a, dog; <s>, </s>, <unk>
    assert figures["counts"][0] == 10
    content = gzip.decompress(arpa.read_bytes()).decode()
    assert f"ngram 2={figures['counts'][1]}" in content
    assert "\tthe cat" in content


@pytest.mark.parametrize("prune", ["1", "0,x", "0,2,1"])
def test_impossible_pruning_is_a_usage_error(
    tmp_path: Path, prune: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.txt").write_text("A cat.")
    command = ["data", "text-lm", str(tmp_path / "t.txt"), "-o", str(tmp_path / "lm.arpa")]
    assert main([*command, "--prune", prune]) == 2
    assert "begin with 0" in capsys.readouterr().err
    assert not (tmp_path / "lm.arpa").exists()


def test_synth_without_synthesizer_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.txt").write_text("The cat sat on the mat.")
    monkeypatch.setenv("PATH", str(tmp_path))
    command = ["data", "synth", str(tmp_path / "t.txt"), "-o", str(tmp_path / "c"), "--hours", "1"]
    assert main([*command, "--voices", "flite/*"]) == 2
    error = capsys.readouterr().err
    assert "flite is not installed" in error and "apt-get install" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "c").exists()


def test_a_path_is_printed_as_it_is(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, arpa = tmp_path / "o[" / "b].jsonl", tmp_path / "o[" / "b].arpa"
    assert main(["data", "librispeech", str(corpus), "-o", str(manifest)]) == 0
    assert f"{manifest}: 3 utterances, 0.00 hours, 3 speakers\n" in capsys.readouterr().err
    (tmp_path / "t.txt").write_text("yes we go on\n")
    command = ["data", "text-lm", str(tmp_path / "t.txt"), "--order", "1", "-o", str(arpa)]
    assert main(command) == 0
    assert f"{arpa}: 7 1-grams\n" in capsys.readouterr().err
