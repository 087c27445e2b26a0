from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sparsespeech.corpora.librispeech import read_librispeech
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.corpora.prompts import Prompt, read_prompts
from sparsespeech.corpora.surroundings import place_in_surroundings
from sparsespeech.corpora.synthesis import synthesize_corpus
from sparsespeech.corpora.synthesis_plan import SynthesisPlan, plan_utterances
from sparsespeech.corpora.voices import select_voices
from sparsespeech.errors import SynthesisError

WORDS = "boy girl river house green apple morning window garden winter paper music".split()
PROMPTS = tuple(
    Prompt(text, text + ".")
    for first in WORDS
    for second in WORDS
    if first != second
    for text in [f"the {first} and the {second} again"]
)


def make_plan(folder: Path, **changes: Any) -> SynthesisPlan:
    """A plan with the fastest voices."""
    plan = SynthesisPlan(folder, PROMPTS, tuple(select_voices(["flite/kal16/*"])), seed=1)
    return replace(plan, **changes)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder``."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 40 s of speech by one process."""
    folder = tmp_path_factory.mktemp("synthesis") / "corpus"
    try:
        synthesize_corpus(make_plan(folder), 0.7 / 60)
    except SynthesisError as error:
        pytest.skip(str(error))
    return folder


def test_a_corpus_is_in_librispeech_layout_with_a_manifest(corpus: Path) -> None:
    utterances = read_manifest(corpus / "manifest.jsonl")
    total_s = sum(utterance.duration for utterance in utterances)
    assert 42 <= total_s < 42 + max(utterance.duration for utterance in utterances)
    read_back = read_librispeech(corpus, split="train")
    assert {u.audio_filepath: (u.text, u.speaker, u.split) for u in read_back} == {
        u.audio_filepath: (u.text, u.speaker, u.split) for u in utterances
    }
    assert len({utterance.text for utterance in utterances}) == len(utterances)
    assert {utterance.speaker for utterance in utterances} == {
        "1000",
        "1001",
        "1002",
        "1003",
        "1004",
    }
    rows = (corpus / "SPEAKERS.TXT").read_text().splitlines()
    minutes = {row.split("|")[0].strip(): float(row.split("|")[3]) for row in rows[1:]}
    assert sum(minutes.values()) * 60 == pytest.approx(total_s, abs=2)
    assert rows[1].endswith("flite/kal16/0.88")


def test_recordings_are_16_khz_mono_without_clipping_or_silence(corpus: Path) -> None:
    levels = []
    for utterance in read_manifest(corpus / "manifest.jsonl"):
        samples, rate_hz = soundfile.read(utterance.audio_filepath, dtype="float64")
        assert rate_hz == 16000 and samples.ndim == 1
        assert utterance.duration == pytest.approx(len(samples) / 16000, abs=1e-3)
        assert np.abs(samples).max() < 0.98
        levels.append(10 * np.log10(np.mean(samples**2)))
    assert min(levels) > -40
    assert max(levels) - min(levels) > 6


def test_several_processes_make_the_same_corpus(corpus: Path, tmp_path: Path) -> None:
    synthesize_corpus(make_plan(tmp_path / "parallel"), 0.7 / 60, jobs=2)
    assert digests(tmp_path / "parallel") == digests(corpus)


def test_a_deleted_recording_alone_is_spoken_again(corpus: Path, tmp_path: Path) -> None:
    before = digests(corpus)
    recordings = sorted(corpus.rglob("*.flac"))
    times = {path: path.stat().st_mtime_ns for path in recordings}
    recordings[3].unlink()
    recordings[5].write_bytes(b"half a fi")
    (recordings[0].parent / ".x.flac.123.partial").write_bytes(b"left by a kill")
    (corpus / "manifest.jsonl").unlink()
    synthesize_corpus(make_plan(corpus), 0.7 / 60)
    assert digests(corpus) == before
    changed = {path for path in recordings if path.stat().st_mtime_ns != times[path]}
    beyond = set(corpus.rglob("*.flac")) - set(recordings)
    assert changed == {recordings[3], recordings[5]} and not beyond


def test_more_hours_extend_a_corpus(corpus: Path, tmp_path: Path) -> None:
    short = synthesize_corpus(make_plan(tmp_path / "c"), 0.3 / 60)
    longer = synthesize_corpus(make_plan(tmp_path / "c"), 0.7 / 60)
    assert longer[: len(short)] == short
    assert digests(tmp_path / "c") == digests(corpus)


def test_the_seed_decides_everything(tmp_path: Path) -> None:
    first = plan_utterances(make_plan(tmp_path), 0, 40)
    assert plan_utterances(make_plan(tmp_path), 20, 20) == first[20:]
    other = plan_utterances(make_plan(tmp_path, seed=2), 0, 40)
    assert [u.prompt for u in first] != [u.prompt for u in other]
    assert [u.rate for u in first] != [u.rate for u in other]
    plain = plan_utterances(make_plan(tmp_path, augmented=False), 0, 40)
    assert {(u.rate, u.pitch) for u in plain} == {(1.0, 1.0)}
    assert [u.voice for u in plain] == [u.voice for u in first]
    assert max(u.rate for u in first) / min(u.rate for u in first) > 1.2
    assert max(u.pitch for u in first) / min(u.pitch for u in first) > 1.2


def test_each_prompt_is_planned_once(tmp_path: Path) -> None:
    planned = plan_utterances(make_plan(tmp_path), 0, 1000)
    assert sorted(u.prompt.text for u in planned) == sorted(p.text for p in PROMPTS)
    assert len({u.path for u in planned}) == len(planned)


def test_surroundings_are_seeded_and_vary() -> None:
    times = np.arange(16000) / 16000
    speech = (0.3 * np.sin(2 * np.pi * 200 * times)).astype(np.float32)
    first, again, other = (
        place_in_surroundings(speech, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other)


def test_another_corpus_in_the_folder_is_not_touched(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match=r"other settings \(seed differ\)"):
        synthesize_corpus(make_plan(corpus, seed=2), 1 / 60)
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    with pytest.raises(SynthesisError, match=r"not empty and holds no corpus.json"):
        synthesize_corpus(make_plan(tmp_path), 1 / 60)
    (tmp_path / "corpus.json").write_text("[]")
    with pytest.raises(SynthesisError, match=r"corpus.json: not a JSON object"):
        synthesize_corpus(make_plan(tmp_path), 1 / 60)
    assert (tmp_path / "photo.jpg").read_bytes() == b"precious"


def test_too_little_text_is_reported_with_what_it_gives(flite: None, tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "c", prompts=PROMPTS[:5])
    with pytest.raises(SynthesisError, match=r"5 sentences give only 0.00 of 1 hours"):
        synthesize_corpus(plan, 1)
    with pytest.raises(SynthesisError, match="no usable sentence"):
        synthesize_corpus(replace(plan, prompts=()), 1)
    with pytest.raises(SynthesisError, match="hours must be > 0"):
        synthesize_corpus(plan, float("nan"))


def test_a_missing_synthesizer_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthesisError, match="flite is not installed"):
        synthesize_corpus(make_plan(tmp_path / "c"), 1)
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_corpus(
    flite: None, espeak: None, festival: None, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(prompt.spoken for prompt in PROMPTS))
    whole = SynthesisPlan(
        tmp_path / "whole",
        tuple(read_prompts([text])),
        tuple(select_voices(["flite/*", "espeak/en-us/*", "festival/*"])),
        seed=3,
    )
    synthesize_corpus(whole, 2 / 60)
    command = [sys.executable, "-m", "sparsespeech.cli.main", "data", "synth", str(text)]
    command += ["--output", str(tmp_path / "killed"), "--hours", str(2 / 60), "--seed", "3"]
    command += ["--jobs", "2", "--json", "--voices", "flite/*", "--voices", "espeak/en-us/*"]
    command += ["--voices", "festival/*"]
    kills = 0
    for wanted in (5, 20, 35):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(tmp_path.glob("killed/*/*/*.flac"))) < wanted:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 2
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(finished.stdout)["speakers"] > 20
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")
