from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparsespeech.corpora.manifest import Utterance, read_manifest, write_manifest
from sparsespeech.errors import ManifestError

GOOD = {"audio_filepath": "a.wav", "duration": 0.5, "text": "yes"}


def written(folder: Path, *lines: str) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_relative_recordings_belong_to_the_folder_of_the_manifest(
    tmp_path: Path, write_tone: Callable[..., Path]
) -> None:
    write_tone(tmp_path / "corpus" / "a.wav")
    path = written(tmp_path / "corpus", json.dumps(GOOD), "", json.dumps(GOOD))
    utterances = read_manifest(path)
    assert utterances == [Utterance(tmp_path / "corpus" / "a.wav", 0.5, "yes")] * 2


def test_a_written_manifest_moves_with_its_folder(
    tmp_path: Path, write_tone: Callable[..., Path]
) -> None:
    inside = write_tone(tmp_path / "corpus" / "x" / "a.wav")
    outside = write_tone(tmp_path / "elsewhere.wav")
    write_manifest(
        tmp_path / "corpus" / "m.jsonl",
        [Utterance(inside, 0.5, "yes", "s", "train"), Utterance(outside, 0.5, "no")],
    )
    (tmp_path / "corpus").rename(tmp_path / "moved")
    first, second = read_manifest(tmp_path / "moved" / "m.jsonl")
    assert first == Utterance(tmp_path / "moved" / "x" / "a.wav", 0.5, "yes", "s", "train")
    assert second.audio_filepath == outside


@settings(max_examples=40)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"])),
    speaker=st.text(st.characters(exclude_categories=["Cs"])),
    duration=st.floats(0, 1e6).map(lambda value: round(value, 4)),
)
@example(text="one\u2028two\x0bthree\r\n", speaker="\x85", duration=1.0)
def test_any_text_survives_writing_and_reading(text: str, speaker: str, duration: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        recording = Path(name, "a.wav")
        recording.touch()
        utterance = Utterance(recording, duration, text, speaker, "train")
        write_manifest(Path(name, "m.jsonl"), [utterance, utterance])
        assert read_manifest(Path(name, "m.jsonl")) == [utterance, utterance]


def test_one_split_is_kept(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    write_tone(tmp_path / "a.wav")
    path = written(
        tmp_path,
        json.dumps({**GOOD, "split": "train"}),
        json.dumps({**GOOD, "split": "dev", "text": "no"}),
    )
    assert [utterance.text for utterance in read_manifest(path, split="dev")] == ["no"]
    with pytest.raises(ManifestError, match="no utterances of split 'test'"):
        read_manifest(path, split="test")


@pytest.mark.parametrize(("value", "name"), [(None, ""), (0, "0"), (1089, "1089"), ("ann", "ann")])
def test_no_speaker_and_no_split_are_no_names(
    tmp_path: Path, write_tone: Callable[..., Path], value: object, name: str
) -> None:
    write_tone(tmp_path / "a.wav")
    path = written(tmp_path, json.dumps({**GOOD, "speaker": value, "split": value}))
    (utterance,) = read_manifest(path)
    assert (utterance.speaker, utterance.split) == (name, name)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (json.dumps({**GOOD, "audio_filepath": "gone.wav"}), "no recording at .*gone.wav"),
        (json.dumps({**GOOD, "audio_filepath": "."}), "no recording at"),
        (json.dumps({**GOOD, "audio_filepath": "a\0.wav"}), "no recording at"),
        (json.dumps({**GOOD, "audio_filepath": 3}), "must be strings"),
        (json.dumps({**GOOD, "text": None}), "must be strings"),
        (json.dumps({**GOOD, "duration": -1}), "duration must be seconds"),
        (json.dumps({**GOOD, "duration": "1"}), "duration must be seconds"),
        (json.dumps({**GOOD, "duration": True}), "duration must be seconds"),
        (json.dumps({**GOOD, "duration": float("nan")}), "duration must be seconds"),
        (json.dumps({**GOOD, "duration": float("inf")}), "duration must be seconds"),
        (json.dumps({**GOOD, "duration": 10**400}), "duration must be seconds"),
        (json.dumps({"audio_filepath": "a.wav"}), r"lacks \['duration', 'text'\]"),
        ("[1, 2]", "expected a JSON object, got list"),
        ('{"audio_filepath": "a.wav"', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_bad_line_is_named_by_its_number(
    tmp_path: Path, write_tone: Callable[..., Path], line: str, complaint: str
) -> None:
    write_tone(tmp_path / "a.wav")
    path = written(tmp_path, json.dumps(GOOD), "", line)
    with pytest.raises(ManifestError, match=f"{re.escape(str(path))}, line 3: .*{complaint}"):
        read_manifest(path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00"])
def test_an_empty_or_binary_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"no utterances|cannot read"):
        read_manifest(path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot read the manifest"):
        read_manifest(tmp_path / "nowhere.jsonl")
