"""Varied copies of recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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


def write_noise(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(SAMPLE_RATE_HZ)
    soundfile.write(path, samples, SAMPLE_RATE_HZ, subtype="PCM_16")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_text_never_gets_the_audio_of_another_corpus(tmp_path: Path) -> None:
    for seed, corpus in enumerate(("x", "y")):
        write_noise(tmp_path / corpus / "1.wav", seed)
    write_noise(tmp_path / "y" / "0.wav", 2)
    first, new, second = (
        Utterance(tmp_path / name, 1.0, name) for name in ("x/1.wav", "y/0.wav", "y/1.wav")
    )
    vary_recordings([first], tmp_path / "out", copies=1)
    before = content(tmp_path / "out")
    message = r"1\.flac is not a copy of .*y/1\.wav .*choose another --output"
    with pytest.raises(ManifestError, match=message):
        vary_recordings([new, second], tmp_path / "out", copies=1)
    assert content(tmp_path / "out") == before


def swapped_order(utterances: list[Utterance]) -> list[Utterance]:
    return utterances[::-1]


def swapped_speakers(utterances: list[Utterance]) -> list[Utterance]:
    ann, bob = utterances
    return [dataclasses.replace(ann, speaker="bob"), dataclasses.replace(bob, speaker="ann")]


def new_recording(utterances: list[Utterance]) -> list[Utterance]:
    write_noise(utterances[1].audio_filepath, 99)
    return utterances


@pytest.mark.parametrize("change", [swapped_order, swapped_speakers, new_recording])
def test_a_copy_of_another_origin_is_refused(
    tmp_path: Path,
    utterances: list[Utterance],
    change: Callable[[list[Utterance]], list[Utterance]],
) -> None:
    vary_recordings(utterances, tmp_path / "a", copies=1)
    before = content(tmp_path / "a")
    with pytest.raises(ManifestError, match="choose another --output"):
        vary_recordings(change(utterances), tmp_path / "a", copies=1)
    assert content(tmp_path / "a") == before


def test_another_speed_change_is_refused(tmp_path: Path, utterances: list[Utterance]) -> None:
    vary_recordings(utterances, tmp_path / "a", copies=1)
    with pytest.raises(ManifestError, match="of another recording, manifest or speed change"):
        vary_recordings(utterances, tmp_path / "a", copies=1, largest_speed_change=0.2)


@pytest.mark.parametrize("earlier", [True, False])
def test_a_copy_that_does_not_say_its_origin_is_refused(
    tmp_path: Path, utterances: list[Utterance], earlier: bool
) -> None:
    copy = vary_recordings(utterances, tmp_path / "a", copies=1)[1].audio_filepath
    if earlier:  # as versions before this one wrote it
        soundfile.write(copy, soundfile.read(copy)[0], SAMPLE_RATE_HZ)
    else:
        copy.write_bytes(b"no recording")
    with pytest.raises(ManifestError, match="or of an earlier version"):
        vary_recordings(utterances, tmp_path / "a", copies=1)


def test_a_folder_grows_with_its_manifest(tmp_path: Path, utterances: list[Utterance]) -> None:
    vary_recordings(utterances[:1], tmp_path / "a", copies=1)
    corrected = dataclasses.replace(utterances[0], text="other words")
    (tmp_path / "real").rename(tmp_path / "moved")
    moved = [
        dataclasses.replace(
            utterance, audio_filepath=tmp_path / "moved" / utterance.speaker / "one.wav"
        )
        for utterance in (corrected, utterances[1])
    ]
    grown = vary_recordings(moved, tmp_path / "a", copies=2)
    whole = vary_recordings(moved, tmp_path / "b", copies=2)
    assert [utterance.text for utterance in grown] == ["other words"] * 2 + ["some words"] * 2
    assert content(tmp_path / "a").keys() == {utterance.audio_filepath for utterance in grown} | {
        tmp_path / "a" / "manifest.jsonl"
    }
    for left, right in zip(grown, whole, strict=True):
        assert left.audio_filepath.read_bytes() == right.audio_filepath.read_bytes()


def test_a_recording_of_zeros_stays_silent(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "zeros.wav", np.zeros(SAMPLE_RATE_HZ), SAMPLE_RATE_HZ)
    silent = Utterance(tmp_path / "zeros.wav", 1.0, "")
    for copy in vary_recordings([silent], tmp_path / "a", copies=8):  # with and without a room
        samples, _ = soundfile.read(copy.audio_filepath)
        assert len(samples) > SAMPLE_RATE_HZ / 2 and not samples.any()
