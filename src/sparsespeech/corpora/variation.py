"""Copies of real recordings in other rooms, with other noise, at other speeds.

Each copy is a pure function of the manifest's utterance, its place and the seed, and is written
atomically; a copy that exists is not made again, so an interrupted run goes on with the same call.

::

    FOLDER/1015/1-2/1015-0-0007.flac         speaker / seed-copy / name of the recording
    FOLDER/manifest.jsonl
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from sparsespeech import atomic_file
from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.resampling import resample
from sparsespeech.corpora.manifest import Utterance, write_manifest
from sparsespeech.corpora.surroundings import place_in_surroundings
from sparsespeech.errors import ManifestError

SAMPLE_RATE_HZ = 16000


def vary_recordings(
    utterances: Sequence[Utterance],
    folder: Path,
    *,
    copies: int,
    seed: int = 1,
    largest_speed_change: float = 0.12,
    on_progress: Callable[[int], None] | None = None,
) -> list[Utterance]:
    """Write ``copies`` varied copies of each utterance below ``folder``, and their manifest.

    The speed (with it the pitch) changes by up to ``largest_speed_change``, then microphone, room,
    noise and level as in a synthesised corpus. ``on_progress`` gets the number of copies done.
    Raises ManifestError for bad settings or two recordings of one speaker with the same name, and
    AudioError for a recording that cannot be read.
    """
    if copies < 1 or not 0.0 <= largest_speed_change < 0.5:
        raise ManifestError(
            f"copies must be at least 1 and the speed change below 0.5, got {copies} and "
            f"{largest_speed_change}"
        )
    varied = []
    targets: set[Path] = set()
    for number, utterance in enumerate(utterances):
        for copy in range(copies):
            source = utterance.audio_filepath
            speaker = utterance.speaker or "unknown"
            if Path(speaker).name != speaker or speaker == "..":
                raise ManifestError(
                    f"{source}: the speaker {speaker!r} names a folder elsewhere; give speakers "
                    f"names without slashes"
                )
            target = folder / speaker / f"{seed}-{copy}" / f"{source.stem}.flac"
            if target in targets:
                raise ManifestError(
                    f"{source}: speaker {utterance.speaker!r} has two recordings named "
                    f"{source.stem}; rename one"
                )
            targets.add(target)
            random = np.random.default_rng([seed, number, copy])
            duration = _write_copy(source, target, random, largest_speed_change)
            varied.append(
                Utterance(target, duration, utterance.text, utterance.speaker, utterance.split)
            )
            if on_progress is not None:
                on_progress(len(varied))
    write_manifest(folder / "manifest.jsonl", varied)
    return varied


def _write_copy(
    source: Path, target: Path, random: np.random.Generator, largest_speed_change: float
) -> float:
    """Duration in seconds of the copy, made unless it is there already."""
    if target.is_file():
        return float(soundfile.info(str(target)).frames) / SAMPLE_RATE_HZ
    samples = read_audio(source, SAMPLE_RATE_HZ).samples
    samples = place_in_surroundings(
        change_speed(samples, 1.0 + float(random.uniform(-1, 1)) * largest_speed_change), random
    )
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(target, encoded.getvalue())
    return len(samples) / SAMPLE_RATE_HZ


def change_speed(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """float32[N] played ``factor`` times as fast, so that pitch and formants rise with it."""
    return resample(samples, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ)
