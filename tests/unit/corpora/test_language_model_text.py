from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.corpora.language_model_text import read_sentences
from sparsespeech.errors import ManifestError


def test_sentences_come_from_texts_transcripts_and_manifests(tmp_path: Path) -> None:
    prose = tmp_path / "prose.txt"
    prose.write_text("It was late. “Well-known,” he said!\n\nYes\n")
    transcript = tmp_path / "103-1240.trans.txt"
    transcript.write_text("103-1240-0000 CHAPTER ONE MISSUS LYNDE\nWELL-MADE THINGS\n")
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(
        '{"audio_filepath": "a.wav", "duration": 1, "text": "GO  On"}\n'
        '{"audio_filepath": "a.wav", "duration": 1, "text": ""}\n'
    )
    (tmp_path / "a.wav").touch()
    assert list(read_sentences([prose, transcript, manifest])) == [
        ["it", "was", "late"],
        ["well", "known", "he", "said"],
        ["yes"],
        ["chapter", "one", "missus", "lynde"],
        ["well", "made", "things"],
        ["go", "on"],
    ]


def test_an_unreadable_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.txt: cannot read"):
        list(read_sentences([tmp_path / "nowhere.txt"]))
