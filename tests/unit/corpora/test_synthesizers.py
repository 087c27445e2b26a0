from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparsespeech.corpora.synthesizers import (
    SAMPLE_RATE_HZ,
    SpeechRequest,
    require_voices,
    speak,
)
from sparsespeech.corpora.voices import Voice, all_voices, select_voices
from sparsespeech.errors import SynthesisError

SENTENCE = "the boy ran along the river."


def voice(name: str) -> Voice:
    return select_voices([name])[0]


def duration_s(samples: np.ndarray) -> float:
    """Length of the part above a tenth of the peak."""
    loud = np.flatnonzero(np.abs(samples) > 0.1 * np.abs(samples).max())
    return float(loud[-1] - loud[0]) / SAMPLE_RATE_HZ


def fundamental_hz(samples: np.ndarray) -> float:
    """Median of the autocorrelation peak over the voiced frames."""
    found = []
    for start in range(0, len(samples) - 1280, 320):
        frame = samples[start : start + 1280].astype(np.float64)
        frame -= frame.mean()
        correlation = np.fft.irfft(np.abs(np.fft.rfft(frame, 4096)) ** 2)[:1280]
        lag = 40 + int(correlation[40:267].argmax())  # 60 to 400 Hz
        if np.sqrt(np.mean(frame**2)) > 0.02 and correlation[lag] > 0.5 * correlation[0]:
            found.append(SAMPLE_RATE_HZ / lag)
    return float(np.median(found))


@pytest.mark.parametrize("name", ["flite/slt/1.00", "espeak/en-us/m3", "festival/kal_diphone/1.00"])
def test_rate_and_pitch_do_what_they_say(name: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(name.split("/", maxsplit=1)[0])
    plain, slow, high = speak(
        [
            SpeechRequest(voice(name), SENTENCE),
            SpeechRequest(voice(name), SENTENCE, rate=0.8),
            SpeechRequest(voice(name), SENTENCE, pitch=1.15),
        ]
    )
    assert duration_s(slow) / duration_s(plain) == pytest.approx(1 / 0.8, rel=0.12)
    assert fundamental_hz(high) / fundamental_hz(plain) == pytest.approx(1.15, abs=0.07)
    assert fundamental_hz(slow) / fundamental_hz(plain) == pytest.approx(1.0, abs=0.07)


@pytest.mark.parametrize(
    "base", ["flite/kal16", "festival/kal_diphone", "festival/cmu_us_slt_arctic_hts"]
)
def test_a_warped_voice_is_higher_but_not_faster(base: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(base.split("/", maxsplit=1)[0])
    plain, warped = speak(
        [
            SpeechRequest(voice(f"{base}/1.00"), SENTENCE),
            SpeechRequest(voice(f"{base}/1.12"), SENTENCE),
        ]
    )
    assert duration_s(warped) / duration_s(plain) == pytest.approx(1.0, abs=0.08)
    assert fundamental_hz(warped) / fundamental_hz(plain) == pytest.approx(1.12, abs=0.07)


def test_festival_speaks_a_mixed_batch_in_order(festival: None) -> None:
    names = [
        "festival/ked_diphone/1.00",
        "festival/cmu_us_slt_arctic_hts/1.00",
        "festival/ked_diphone/1.00",
    ]
    sentences = ["a short one.", "a good deal longer sentence than that.", SENTENCE]
    requests = [
        SpeechRequest(voice(name), sentence)
        for name, sentence in zip(names, sentences, strict=True)
    ]
    batch = speak(requests)
    for spoken, single in zip(batch, requests, strict=True):
        np.testing.assert_array_equal(spoken, speak([single])[0])


def test_every_installed_voice_is_known_to_be(flite: None, espeak: None, festival: None) -> None:
    require_voices(all_voices())


@pytest.mark.slow
def test_every_voice_speaks(flite: None, espeak: None, festival: None) -> None:
    spoken = speak([SpeechRequest(each, SENTENCE) for each in all_voices()])
    for samples in spoken:
        assert samples.dtype == np.float32
        assert 0.8 < duration_s(samples) < 4.0


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("flite/slt/1.00", "flite"),
        ("espeak/en-us/f3", "espeak-ng"),
        ("festival/kal_diphone/1.00", "festival"),
    ],
)
def test_a_missing_synthesizer_names_its_package(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    command = f"apt-get install --no-install-recommends {package} "
    with pytest.raises(SynthesisError, match=f"{package} is not installed.*{command}"):
        require_voices([voice(name)])
    with pytest.raises(SynthesisError, match=command):
        speak([SpeechRequest(voice(name), SENTENCE)])


def stand_in(folder: Path, program: str, script: str) -> None:
    """Put a shell script in the place of ``program``."""
    path = folder / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "program", "listing", "package"),
    [
        ("flite/slt/1.00", "flite", "Voices available: kal16 awb", "flite"),
        (
            "festival/ked_diphone/1.00",
            "festival",
            "(kal_diphone)",
            "festvox-kdlpc16k",
        ),
        (
            "festival/cmu_us_slt_arctic_hts/1.00",
            "festival",
            "(kal_diphone)",
            "festvox-us-slt-hts",
        ),
        (
            "espeak/en-us/f3",
            "espeak-ng",
            "Pty\n 2  en-us --/M\n 5 variant --/M x !v/m1",
            "espeak-ng-data",
        ),
    ],
)
def test_a_missing_voice_names_its_package(
    name: str,
    program: str,
    listing: str,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    stand_in(tmp_path, program, f"printf '%s\\n' '{listing}'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        SynthesisError, match=f"the voice {name} is not installed.*install .*{package} "
    ):
        require_voices([voice(name)])


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo broken >&2; exit 3", "flite failed with status 3: broken"),
        ("exit 0", "flite/slt/1.00 produced no audio for 'the boy"),
        ('for last; do :; done; : > "$last"', "flite/slt/1.00 produced no audio"),
    ],
)
def test_a_failing_synthesizer_is_reported(
    script: str, complaint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(tmp_path, "flite", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(SynthesisError, match=complaint):
        speak([SpeechRequest(voice("flite/slt/1.00"), SENTENCE)])


def test_silence_is_refused(flite: None) -> None:
    with pytest.raises(SynthesisError, match=r"produced (only silence|no audio)"):
        speak([SpeechRequest(voice("flite/kal16/1.00"), ".")])
