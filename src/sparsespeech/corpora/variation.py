"""Copies of real recordings in other rooms, with other noise, at other speeds.

Each copy is a pure function of the recording, its place in the manifest, the seed and the speed
range, and is written atomically. It says so in the comment of its file: a copy that exists is not
made again, so an interrupted run goes on with the same call, and a copy of something else is not
taken for it.

::

    FOLDER/1015/1-2/1015-0-0007.flac         speaker / seed-copy / name of the recording
    FOLDER/manifest.jsonl
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
_FORM = 1  # raised when the same recording, place and seed come to give another copy


@dataclass(frozen=True)
class _Copy:
    """Copy ``number`` of the utterance at ``place`` of the manifest, before it is made."""

    utterance: Utterance
    place: int
    number: int
    target: Path


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
    Raises ManifestError for bad settings, two recordings of one speaker with the same name or, with
    nothing written, a folder that holds a copy of this name but of another origin; AudioError for
    a recording that cannot be read.
    """
    if copies < 1 or not 0.0 <= largest_speed_change < 0.5:
        raise ManifestError(
            f"copies must be at least 1 and the speed change below 0.5, got {copies} and "
            f"{largest_speed_change}"
        )
    planned = _plan_copies(utterances, folder, copies, seed)
    durations = _existing_durations(planned, seed, largest_speed_change)
    varied = []
    for copy in planned:
        duration = durations.get(copy.target)
        if duration is None:
            duration = _write_copy(copy, seed, largest_speed_change)
        utterance = copy.utterance
        varied.append(
            Utterance(copy.target, duration, utterance.text, utterance.speaker, utterance.split)
        )
        if on_progress is not None:
            on_progress(len(varied))
    write_manifest(folder / "manifest.jsonl", varied)
    return varied


def _plan_copies(
    utterances: Sequence[Utterance], folder: Path, copies: int, seed: int
) -> list[_Copy]:
    """The copies of all utterances; ManifestError for a target outside or of two of them."""
    planned = []
    targets: set[Path] = set()
    for place, utterance in enumerate(utterances):
        for number in range(copies):
            source = utterance.audio_filepath
            speaker = utterance.speaker or "unknown"
            if Path(speaker).name != speaker or speaker == "..":
                raise ManifestError(
                    f"{source}: the speaker {speaker!r} names a folder elsewhere; give speakers "
                    f"names without slashes"
                )
            target = folder / speaker / f"{seed}-{number}" / f"{source.stem}.flac"
            if target in targets:
                raise ManifestError(
                    f"{source}: speaker {utterance.speaker!r} has two recordings named "
                    f"{source.stem}; rename one"
                )
            targets.add(target)
            planned.append(_Copy(utterance, place, number, target))
    return planned


def _existing_durations(
    planned: Sequence[_Copy], seed: int, largest_speed_change: float
) -> dict[Path, float]:
    """Seconds of the copies that are there; ManifestError for one that is not what is planned."""
    durations = {}
    for copy in planned:
        if not copy.target.exists():
            continue
        try:
            with soundfile.SoundFile(copy.target) as found:
                origin, durations[copy.target] = found.comment, found.frames / SAMPLE_RATE_HZ
        except soundfile.LibsndfileError:
            origin = None
        if origin != _origin(copy, seed, largest_speed_change):
            raise ManifestError(
                f"{copy.target} is not a copy of {copy.utterance.audio_filepath} as it is now, at "
                f"place {copy.place + 1} of this manifest (it is of another recording, manifest or "
                f"speed change, or of an earlier version); choose another --output"
            )
    return durations


def _origin(copy: _Copy, seed: int, largest_speed_change: float) -> str:
    """All that a copy depends on, as the comment of its file has it."""
    with copy.utterance.audio_filepath.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return (
        f"sparsespeech data vary, form {_FORM}: recording sha256 {digest}, place {copy.place}, "
        f"seed {seed}, copy {copy.number}, speed change {largest_speed_change}"
    )


def _write_copy(copy: _Copy, seed: int, largest_speed_change: float) -> float:
    """Duration in seconds of the copy, which is made."""
    source, target = copy.utterance.audio_filepath, copy.target
    random = np.random.default_rng([seed, copy.place, copy.number])
    samples = read_audio(source, SAMPLE_RATE_HZ).samples
    samples = place_in_surroundings(
        change_speed(samples, 1.0 + float(random.uniform(-1, 1)) * largest_speed_change), random
    )
    encoded = io.BytesIO()
    with soundfile.SoundFile(encoded, "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="FLAC") as stream:
        stream.comment = _origin(copy, seed, largest_speed_change)
        stream.write(samples)
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(target, encoded.getvalue())
    return len(samples) / SAMPLE_RATE_HZ


def change_speed(samples: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """float32[N] played ``factor`` times as fast, so that pitch and formants rise with it."""
    return resample(samples, round(SAMPLE_RATE_HZ * factor), SAMPLE_RATE_HZ)
