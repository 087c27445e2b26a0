"""Varied copies of recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.corpora.variation import SAMPLE_RATE_HZ, change_speed, vary_recordings
from sparsespeech.errors import ManifestError


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    random = np.random.default_rng(3)
    made = []
    for speaker in ("ann", "bob"):
        path = tmp_path / "real" / speaker / "one.wav"
        path.parent.mkdir(parents=True)
        samples = 0.1 * random.standard_normal(SAMPLE_RATE_HZ)
        soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")
        made.append(Utterance(path, 1.0, "some words", speaker, "train"))
    return made


def test_speed_moves_a_tone_and_shortens_it() -> None:
    time = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    faster = change_speed(np.sin(2 * np.pi * 1000 * time).astype(np.float32), 1.1)
    assert len(faster) == pytest.approx(SAMPLE_RATE_HZ / 1.1, abs=1)
    spectrum = np.abs(np.fft.rfft(faster))
    assert np.argmax(spectrum) * SAMPLE_RATE_HZ / len(faster) == pytest.approx(1100, abs=2)


def test_each_copy_is_another_and_the_same_again(
    tmp_path: Path, utterances: list[Utterance]
) -> None:
    first, second = (
        vary_recordings(utterances, tmp_path / name, copies=2, seed=4) for name in ("a", "b")
    )
    listed = read_manifest(tmp_path / "a" / "manifest.jsonl")
    assert [u.audio_filepath for u in listed] == [u.audio_filepath for u in first]
    sounds = [soundfile.read(utterance.audio_filepath)[0] for utterance in first]
    for utterance, again, sound in zip(first, second, sounds, strict=True):
        assert np.array_equal(sound, soundfile.read(again.audio_filepath)[0])
        assert utterance.duration == pytest.approx(len(sound) / SAMPLE_RATE_HZ)
        assert utterance.text == "some words"
    assert [utterance.speaker for utterance in first] == ["ann", "ann", "bob", "bob"]
    assert len({len(sound) for sound in sounds}) > 1
    other = vary_recordings(utterances, tmp_path / "a", copies=1, seed=5)
    assert not np.array_equal(soundfile.read(other[0].audio_filepath)[0], sounds[0])


def test_an_interrupted_run_goes_on(tmp_path: Path, utterances: list[Utterance]) -> None:
    class InterruptionError(Exception):
        pass

    def stop(done: int) -> None:
        if done == 2:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        vary_recordings(utterances, tmp_path / "a", copies=2, on_progress=stop)
    kept = sorted((tmp_path / "a").rglob("*.flac"))
    stamps = [path.stat().st_mtime_ns for path in kept]
    assert len(kept) == 2
    varied = vary_recordings(utterances, tmp_path / "a", copies=2)
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    whole = vary_recordings(utterances, tmp_path / "b", copies=2)
    for left, right in zip(varied, whole, strict=True):
        assert left.audio_filepath.read_bytes() == right.audio_filepath.read_bytes()


def test_bad_requests_are_named(tmp_path: Path, utterances: list[Utterance]) -> None:
    with pytest.raises(ManifestError, match="copies must be at least 1"):
        vary_recordings(utterances, tmp_path / "a", copies=0)
    with pytest.raises(ManifestError, match="two recordings named one"):
        vary_recordings([*utterances, utterances[0]], tmp_path / "b", copies=1)


@pytest.mark.parametrize("speaker", ["../../escaped", "/escaped", "..", "a/b"])
def test_no_speaker_leads_out_of_the_folder(
    tmp_path: Path, utterances: list[Utterance], speaker: str
) -> None:
    bad = dataclasses.replace(utterances[0], speaker=speaker)
    with pytest.raises(ManifestError, match="names a folder elsewhere"):
        vary_recordings([bad], tmp_path / "a", copies=1)
