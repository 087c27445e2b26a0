from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sparsespeech.corpora.audio_folder import read_audio_folder
from sparsespeech.corpora.manifest import Utterance
from sparsespeech.errors import ManifestError


def test_text_beside_the_recording_is_its_transcript(
    tmp_path: Path, write_tone: Callable[..., Path]
) -> None:
    first = write_tone(tmp_path / "anna" / "one.wav", 0.5)
    first.with_suffix(".txt").write_text("Good\nMORNING  everyone\n")
    second = write_tone(tmp_path / "two.flac", 0.25)
    (tmp_path / "notes.txt").write_text("belongs to nothing")
    assert read_audio_folder(tmp_path, split="dev") == [
        Utterance(first, 0.5, "good morning everyone", "anna", "dev"),
        Utterance(second, 0.25, "", "", "dev"),
    ]


def test_a_transcript_can_be_required(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    write_tone(tmp_path / "two.flac")
    with pytest.raises(ManifestError, match=r"two.flac: no transcript two.txt"):
        read_audio_folder(tmp_path, require_text=True)


def test_folders_without_usable_audio_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="holds no recordings"):
        read_audio_folder(tmp_path)
    (tmp_path / "a.wav").write_text("text named .wav")
    with pytest.raises(ManifestError, match=r"a.wav is not a readable recording"):
        read_audio_folder(tmp_path)
    with pytest.raises(ManifestError, match="expected a folder, found a file"):
        read_audio_folder(tmp_path / "a.wav")
