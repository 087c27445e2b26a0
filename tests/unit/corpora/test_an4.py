from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.corpora.an4 import is_official_layout, read_an4
from sparsespeech.errors import ManifestError


@pytest.fixture
def corpus(tmp_path: Path, write_tone: Callable[..., Path]) -> Path:
    """AN4 in its official layout with two utterances for training and one for testing."""
    folder = tmp_path / "an4"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "an4_train.fileids").write_text(
        "an4_clstk/fash/an251-fash-b\nan4_clstk/fbbh/an86-fbbh-b\n"
    )
    (folder / "etc" / "an4_train.transcription").write_text(
        "<s> YES </s> (an251-fash-b)\n<s> C Z D Z W EIGHT </s> (an86-fbbh-b)\n"
    )
    (folder / "etc" / "an4_test.fileids").write_text("an4test_clstk/fcaw/an406-fcaw-b\n")
    (folder / "etc" / "an4_test.transcription").write_text(
        "RUBOUT G M E F THREE NINE (an406-fcaw-b)\n"
    )
    write_tone(folder / "wav" / "an4_clstk" / "fash" / "an251-fash-b.wav", 0.5)
    write_tone(folder / "wav" / "an4_clstk" / "fbbh" / "an86-fbbh-b.wav", 1.0)
    write_tone(folder / "wav" / "an4test_clstk" / "fcaw" / "an406-fcaw-b.wav", 2.0)
    return folder


@pytest.mark.parametrize("level", ["an4", ".", "an4/etc"])
def test_both_splits_are_read_from_any_level(corpus: Path, level: str) -> None:
    folder = corpus.parent / level
    assert is_official_layout(folder)
    assert [
        (utterance.text, utterance.duration, utterance.speaker, utterance.split)
        for utterance in read_an4(folder)
    ] == [
        ("yes", 0.5, "fash", "train"),
        ("c z d z w eight", 1.0, "fbbh", "train"),
        ("rubout g m e f three nine", 2.0, "fcaw", "test"),
    ]


@pytest.mark.parametrize(("byte_order", "letter"), [("little", "<"), ("big", ">")])
def test_headerless_recordings_become_wav_with_the_same_samples(
    corpus: Path, byte_order: str, letter: str
) -> None:
    samples = np.array([0, 1, -2, 300, -32768, 32767], dtype=np.int16)
    stem = corpus / "wav" / "an4_clstk" / "fash" / "an251-fash-b"
    stem.with_suffix(".wav").unlink()
    stem.with_suffix(".raw").write_bytes(samples.astype(f"{letter}i2").tobytes())
    first = read_an4(corpus, raw_byte_order=byte_order)[0]
    found, rate_hz = soundfile.read(first.audio_filepath, dtype="int16")
    assert rate_hz == 16000
    np.testing.assert_array_equal(found, samples)
    assert first.duration == len(samples) / 16000


def test_another_byte_order_is_not_ignored_once_there_is_a_wav(corpus: Path) -> None:
    samples = np.array([1, -2, 300], dtype=np.int16)
    stem = corpus / "wav" / "an4_clstk" / "fash" / "an251-fash-b"
    stem.with_suffix(".raw").write_bytes(samples.astype(">i2").tobytes())
    for byte_order, expected in (("little", samples.byteswap()), ("big", samples)):
        audio = read_an4(corpus, raw_byte_order=byte_order)[0].audio_filepath
        np.testing.assert_array_equal(soundfile.read(audio, dtype="int16")[0], expected)
    unchanged = audio.stat()
    read_an4(corpus, raw_byte_order="big")
    assert audio.stat().st_ino == unchanged.st_ino  # not written again


def test_sphere_recordings_are_read(corpus: Path) -> None:
    stem = corpus / "wav" / "an4_clstk" / "fash" / "an251-fash-b"
    samples, rate_hz = soundfile.read(stem.with_suffix(".wav"))
    stem.with_suffix(".wav").unlink()
    soundfile.write(stem.with_suffix(".sph"), samples, rate_hz, format="NIST", subtype="PCM_16")
    first = read_an4(corpus)[0]
    assert first.audio_filepath.suffix == ".sph"
    assert first.duration == 0.5


def test_a_missing_recording_is_named_by_line(corpus: Path) -> None:
    (corpus / "wav" / "an4_clstk" / "fbbh" / "an86-fbbh-b.wav").unlink()
    with pytest.raises(ManifestError, match=r"an4_train.fileids, line 2: no recording"):
        read_an4(corpus)


@pytest.mark.parametrize(
    ("file", "content", "complaint"),
    [
        ("an4_train.fileids", "an4_clstk/fash/an999-fash-b\n", "line 1: an999-fash-b is not in"),
        ("an4_train.fileids", "../../secret/an251-fash-b\n", "line 1: expected a path below wav"),
        ("an4_train.fileids", "/etc/an251-fash-b\n", "line 1: expected a path below wav"),
        ("an4_train.transcription", "<s> YES </s>\n", "line 1: expected '<s> TEXT </s>"),
    ],
)
def test_bad_index_files_are_named(corpus: Path, file: str, content: str, complaint: str) -> None:
    (corpus / "etc" / file).write_text(content)
    with pytest.raises(ManifestError, match=complaint):
        read_an4(corpus)


def test_half_a_sample_is_refused(corpus: Path) -> None:
    stem = corpus / "wav" / "an4_clstk" / "fash" / "an251-fash-b"
    stem.with_suffix(".wav").unlink()
    stem.with_suffix(".raw").write_bytes(b"123")
    with pytest.raises(ManifestError, match="3 bytes are no 16-bit samples"):
        read_an4(corpus)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    assert not is_official_layout(tmp_path)
    with pytest.raises(ManifestError, match=r"no etc/an4_train.fileids"):
        read_an4(tmp_path)
