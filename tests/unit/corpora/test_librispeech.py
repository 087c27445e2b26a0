from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparsespeech.corpora.librispeech import read_librispeech
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.errors import ManifestError


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """Two speakers of dev-clean, one utterance each but for the first."""
    session = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121123"
    write_tone(session / "84-121123-0000.flac", 0.5)
    write_tone(session / "84-121123-0001.opus", 0.25)
    (session / "84-121123.trans.txt").write_text(
        "84-121123-0000 GO DO YOU HEAR\n84-121123-0001 IT'S  LATE\n"
    )
    other = tmp_path / "LibriSpeech" / "dev-clean" / "174" / "50561"
    write_tone(other / "174-50561-0000.wav", 1.0, 8000)
    (other / "174-50561.trans.txt").write_text("174-50561-0000 FORGOTTEN TOO")
    return tmp_path / "LibriSpeech" / "dev-clean"


def test_every_line_becomes_an_utterance(corpus: Path) -> None:
    first = corpus / "84" / "121123"
    assert read_librispeech(corpus) == [
        Utterance(
            corpus / "174" / "50561" / "174-50561-0000.wav",
            1.0,
            "forgotten too",
            "174",
            "dev-clean",
        ),
        Utterance(first / "84-121123-0000.flac", 0.5, "go do you hear", "84", "dev-clean"),
        Utterance(first / "84-121123-0001.opus", 0.25, "it's late", "84", "dev-clean"),
    ]


def test_subset_and_speaker_are_known_from_any_level(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_above = read_librispeech(corpus.parent.parent)
    assert {utterance.split for utterance in from_above} == {"dev-clean"}
    monkeypatch.chdir(corpus / "84" / "121123")
    from_inside = read_librispeech(Path())
    assert {(utterance.speaker, utterance.split) for utterance in from_inside} == {
        ("84", "dev-clean")
    }
    assert {utterance.split for utterance in read_librispeech(corpus, split="mine")} == {"mine"}


def test_a_transcript_without_recording_is_named_by_line(corpus: Path) -> None:
    (corpus / "84" / "121123" / "84-121123-0001.opus").unlink()
    with pytest.raises(ManifestError, match=r"84-121123.trans.txt, line 2: no recording .*0001"):
        read_librispeech(corpus)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("84-121123-0002", "expected 'ID TRANSCRIPT'"),
        ("84-121123-0000 AGAIN", "was already in .*line 1"),
    ],
)
def test_a_bad_transcript_line_is_named(corpus: Path, line: str, complaint: str) -> None:
    path = corpus / "84" / "121123" / "84-121123.trans.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ManifestError, match=f"line 3: .*{complaint}"):
        read_librispeech(corpus)


def test_a_damaged_recording_is_named_by_line(corpus: Path) -> None:
    (corpus / "84" / "121123" / "84-121123-0000.flac").write_text("not audio")
    with pytest.raises(ManifestError, match=r"line 1: .*0000.flac is not a readable recording"):
        read_librispeech(corpus)


def test_an_empty_recording_is_named_by_line(corpus: Path, write_tone: Callable[..., Path]) -> None:
    (corpus / "84" / "121123" / "84-121123-0000.flac").unlink()
    write_tone(corpus / "84" / "121123" / "84-121123-0000.wav", 0.0)
    with pytest.raises(ManifestError, match=r"line 1: .*0000.wav holds no samples"):
        read_librispeech(corpus)


def test_a_folder_without_transcripts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds no .*trans.txt"):
        read_librispeech(tmp_path)
    with pytest.raises(ManifestError, match="expected a folder, found nothing"):
        read_librispeech(tmp_path / "nowhere")
