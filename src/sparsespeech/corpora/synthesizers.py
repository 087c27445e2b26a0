"""Run flite, espeak-ng and festival and bring their speech to one sample rate.

All samples are float32, mono, full scale +-1. Rates and pitches are factors of the voice's own.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sparsespeech.corpora.voices import Voice
from sparsespeech.errors import SynthesisError

SAMPLE_RATE_HZ = 16000
TIMEOUT_S = 120.0
_SILENCE_RMS = 1e-3

_PROGRAMS = {"flite": "flite", "espeak": "espeak-ng", "festival": "festival"}
_FESTIVAL_PACKAGES = {
    "kal_diphone": "festvox-kallpc16k",
    "ked_diphone": "festvox-kdlpc16k",
    "cmu_us_slt_arctic_hts": "festvox-us-slt-hts",
}
# Mean F0 in Hz of each voice as it speaks by default, measured by autocorrelation.
_MEAN_F0_HZ = {
    "kal16": 90.0,
    "awb": 130.0,
    "rms": 103.0,
    "slt": 172.0,
    "kal_diphone": 105.0,
    "ked_diphone": 105.0,
}
_ESPEAK_WORDS_PER_MINUTE = 160


@dataclass(frozen=True)
class SpeechRequest:
    """One sentence for one voice; ``rate`` > 1 speaks faster, ``pitch`` > 1 speaks higher.

    flite's rms and festival's HTS voice have no pitch knob: they keep their own pitch.
    """

    voice: Voice
    sentence: str
    rate: float = 1.0
    pitch: float = 1.0


def speak(requests: Sequence[SpeechRequest]) -> list[NDArray[np.float32]]:
    """Speech of each request in order, 16 kHz.

    Festival, which is slow to start, speaks all its requests in one process. Raises
    SynthesisError when a synthesizer or voice is missing, fails or yields only silence.
    """
    with tempfile.TemporaryDirectory(prefix="sparsespeech-synth-") as name:
        folder = Path(name)
        files = [folder / f"{number}.wav" for number in range(len(requests))]
        by_synthesizer: dict[str, list[tuple[SpeechRequest, Path]]] = defaultdict(list)
        for request, file in zip(requests, files, strict=True):
            by_synthesizer[request.voice.synthesizer].append((request, file))
        for request, file in by_synthesizer["flite"]:
            _run_flite(request, file)
        for request, file in by_synthesizer["espeak"]:
            _run_espeak(request, file)
        if by_synthesizer["festival"]:
            _run_festival(by_synthesizer["festival"], folder / "batch.scm")
        return [_load(request, file) for request, file in zip(requests, files, strict=True)]


def require_voices(voices: Sequence[Voice]) -> None:
    """Raise SynthesisError, naming the Debian package, for the first voice not installed."""
    synthesizers = {voice.synthesizer for voice in voices}
    for synthesizer in sorted(synthesizers):
        if shutil.which(_PROGRAMS[synthesizer]) is None:
            raise SynthesisError(
                _missing(f"the synthesizer {_PROGRAMS[synthesizer]}", _PROGRAMS[synthesizer])
            )
    installed: set[str] = set()
    if "flite" in synthesizers:
        installed |= {f"flite/{word}" for word in _output(["flite", "-lv"]).split()}
    if "espeak" in synthesizers:
        installed |= {
            f"espeak/{line.split()[1]}"
            for line in _output(["espeak-ng", "--voices=en"]).splitlines()[1:]
        }
        installed |= {
            f"variant/{line.split('!v/')[1].split('  ')[0].strip()}"
            for line in _output(["espeak-ng", "--voices=variant"]).splitlines()
            if "!v/" in line
        }
    if "festival" in synthesizers:
        listed = _output(["festival", "-b", "(print (voice.list))"])
        installed |= {f"festival/{word}" for word in listed.strip("()\n ").split()}
    for voice in voices:
        if f"{voice.synthesizer}/{voice.base}" not in installed:
            package = _FESTIVAL_PACKAGES.get(voice.base, _PROGRAMS[voice.synthesizer])
            raise SynthesisError(_missing(f"the voice {voice.name}", package))
        if voice.synthesizer == "espeak" and f"variant/{voice.variant}" not in installed:
            raise SynthesisError(_missing(f"the voice {voice.name}", "espeak-ng-data"))


def _missing(what: str, package: str) -> str:
    return (
        f"{what} is not installed; on Debian: "
        f"sudo apt-get install --no-install-recommends {package} "
        f"(or choose other voices with --voices and --exclude-voices)"
    )


def _run_flite(request: SpeechRequest, file: Path) -> None:
    voice = request.voice
    # Resampling by the warp shortens and raises the speech; only the shortening is undone.
    stretch = voice.warp / request.rate
    pitch_hz = _MEAN_F0_HZ[voice.base] * request.pitch
    _output(
        [
            "flite",
            "-voice",
            voice.base,
            "--setf",
            f"duration_stretch={stretch:.4f}",
            "--setf",
            f"int_f0_target_mean={pitch_hz:.2f}",
            "-t",
            request.sentence,
            "-o",
            str(file),
        ]
    )


def _run_espeak(request: SpeechRequest, file: Path) -> None:
    voice = request.voice
    # 50 is neutral; -p 20 and -p 80 measured 0.80 and 1.31 of the neutral pitch.
    pitch = int(np.clip(round(50 + 110 * np.log(request.pitch)), 0, 99))
    words_per_minute = round(_ESPEAK_WORDS_PER_MINUTE * request.rate)
    _output(
        [
            "espeak-ng",
            "-v",
            f"{voice.base}+{voice.variant}",
            "-s",
            str(words_per_minute),
            "-p",
            str(pitch),
            "-w",
            str(file),
            request.sentence,
        ]
    )


def _run_festival(batch: Sequence[tuple[SpeechRequest, Path]], script: Path) -> None:
    lines = []
    for request, file in batch:
        base = request.voice.base
        stretch = request.voice.warp / request.rate
        lines.append(f"(voice_{base})")
        if base.endswith("_hts"):
            # hts_engine has a rate knob of its own.
            lines.append(
                f"(set! hts_engine_params (append {base}::hts_engine_params "
                f'\'(("-r" {1 / stretch:.4f}))))'
            )
        else:
            pitch_hz = _MEAN_F0_HZ[base] * request.pitch
            lines.append(f"(Parameter.set 'Duration_Stretch {stretch:.4f})")
            lines.append(
                f"(set! int_lr_params '((target_f0_mean {pitch_hz:.2f}) "
                f"(target_f0_std 14) (model_f0_mean 170) (model_f0_std 34)))"
            )
        lines.append(
            f'(utt.save.wave (utt.synth (Utterance Text "{request.sentence}")) "{file}" \'riff)'
        )
    script.write_text("\n".join(lines) + "\n", encoding="ascii")
    _output(["festival", "-b", str(script)])


def _output(command: list[str]) -> str:
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise SynthesisError(_missing(f"the synthesizer {command[0]}", command[0])) from None
    except subprocess.TimeoutExpired:
        raise SynthesisError(
            f"{command[0]} did not finish within {TIMEOUT_S:.0f} s "
            f"(command: {' '.join(command)[:200]})"
        ) from None
    if result.returncode != 0:
        raise SynthesisError(
            f"{command[0]} failed with status {result.returncode}: "
            f"{result.stderr.strip()[:200] or 'no message'} "
            f"(command: {' '.join(command)[:200]})"
        )
    return result.stdout


def _load(request: SpeechRequest, file: Path) -> NDArray[np.float32]:
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError):
        raise SynthesisError(
            f"{request.voice.name} produced no audio for {request.sentence!r}"
        ) from None
    mono = samples[:, 0]
    if len(mono) == 0 or float(np.sqrt(np.mean(mono**2))) < _SILENCE_RMS:
        raise SynthesisError(f"{request.voice.name} produced only silence for {request.sentence!r}")
    resampled = soxr.resample(mono, rate * request.voice.warp, SAMPLE_RATE_HZ, quality="HQ")
    return np.asarray(resampled, dtype=np.float32)
