"""Features and transcripts of all training utterances in memory.

Axes: N frames of all utterances together, F coefficients, U utterances.

Features are computed once, kept beside the run and found again by a digest of what they depend
on. Augmentation happens on features (``augmentation.py``), so nothing is read twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from sparsespeech import atomic_file
from sparsespeech.audio.reading import read_audio
from sparsespeech.corpora.manifest import Utterance, read_manifest
from sparsespeech.decoding.alphabet import Alphabet, normalise_transcript
from sparsespeech.errors import ManifestError
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.training.recipe import Source, expand_path

Float32Array = NDArray[np.float32]
_NAMED_UTTERANCES = 3  # where all are impossible


@dataclass(frozen=True)
class Unalignable:
    """An utterance that CTC cannot align: its text needs more frames than it has."""

    name: str
    frames: int
    needed: int  # 0: it has no text

    @property
    def reason(self) -> str:
        """Name, frames and the frames that the text needs, in words."""
        text = f"its text needs {self.needed}" if self.needed else "it has no text"
        return f"{self.name} has {self.frames} frames, {text}"


@dataclass(frozen=True, eq=False)
class SpeechDataset:
    """All utterances of one or more sources.

    ``frames`` float32[N, F] are not normalised; utterance u owns frames
    ``start[u] : start[u + 1]`` and the classes ``targets[u]``. ``source[u]`` is the number of
    its source in the recipe, ``names[u]`` the path of its recording.
    """

    frames: Float32Array
    start: NDArray[np.int64]  # int64[U + 1]
    targets: list[NDArray[np.int64]]
    texts: list[str]
    source: NDArray[np.int64]  # int64[U]
    names: list[str]
    dropped: int  # utterances too long, or too short for their text
    unalignable: list[Unalignable]  # the latter

    def __len__(self) -> int:
        """Number of utterances."""
        return len(self.targets)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each utterance, int64[U]."""
        return np.diff(self.start)

    def digest(self) -> str:
        """SHA-256 of lengths, sources and texts: what the batches of a run depend on."""
        content = json.dumps([self.start.tolist(), self.source.tolist(), self.texts])
        return hashlib.sha256(content.encode()).hexdigest()

    def figures(self, frame_duration_s: float) -> dict[str, float]:
        """Utterances, those left out and hours, for logs."""
        hours = float(self.lengths.sum()) * frame_duration_s / 3600
        return {"utterances": len(self), "dropped": self.dropped, "hours": hours}

    def utterance_frames(self, number: int) -> Float32Array:
        """Frames float32[T, F] of one utterance (a view)."""
        return self.frames[self.start[number] : self.start[number + 1]]

    def normalisation(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Global mean and deviation float64[F] over all frames."""
        mean = self.frames.mean(axis=0, dtype=np.float64)
        deviation = self.frames.std(axis=0, dtype=np.float64)
        return mean, np.maximum(deviation, 1e-3)


def load_dataset(
    sources: Sequence[Source],
    config: MfccConfig,
    alphabet: Alphabet,
    cache: Path,
    *,
    max_duration_s: float,
    progress: Progress,
) -> SpeechDataset:
    """Features of all ``sources``; computed at most once for the same manifests and constants.

    Raises ManifestError for an unreadable manifest, a transcript outside the alphabet or where no
    utterance is left, AudioError for a bad recording.
    """
    utterances, numbers = [], []
    for number, source in enumerate(sources):
        found = read_manifest(expand_path(source.manifest), split=source.split)
        utterances += found
        numbers += [number] * len(found)
    short = [u.duration <= max_duration_s for u in utterances]
    kept = [u for u, keep in zip(utterances, short, strict=True) if keep]
    source_numbers = np.array([n for n, keep in zip(numbers, short, strict=True) if keep])
    manifests = ", ".join(dict.fromkeys(source.manifest for source in sources))
    if not kept:
        raise ManifestError(
            f"{manifests}: all {len(utterances)} utterances are longer than "
            f"data.max_duration_s = {max_duration_s}"
        )
    texts = [normalise_transcript(utterance.text) for utterance in kept]
    for utterance, text in zip(kept, texts, strict=True):
        unknown = alphabet.unknown_characters(text)
        if unknown:
            raise ManifestError(
                f"transcript of {utterance.audio_filepath} holds {sorted(unknown)}"
                f", which the alphabet {''.join(alphabet.symbols)!r} lacks"
            )
    frames, start = _cached_features(kept, config, cache, progress)
    targets = [alphabet.encode(text) for text in texts]
    names = [str(utterance.audio_filepath) for utterance in kept]
    dataset = SpeechDataset(frames, start, targets, texts, source_numbers, names, 0, [])
    return _without_impossible(dataset, len(utterances), manifests)


def frames_needed(target: NDArray[np.int64]) -> int:
    """Fewest frames CTC needs: one a symbol and a blank between equal neighbours."""
    return int(target.size + np.count_nonzero(target[1:] == target[:-1]))


def _without_impossible(dataset: SpeechDataset, given: int, manifests: str) -> SpeechDataset:
    """The utterances of ``manifests``, ``given`` in all, that CTC can align."""
    needed = [frames_needed(target) for target in dataset.targets]
    possible = np.array([0 < n <= t for n, t in zip(needed, dataset.lengths, strict=True)])
    chosen = np.flatnonzero(possible)
    unalignable = [
        Unalignable(dataset.names[n], int(dataset.lengths[n]), needed[n])
        for n in np.flatnonzero(~possible)
    ]
    if not chosen.size:
        more = len(unalignable) - _NAMED_UTTERANCES
        raise ManifestError(
            f"{manifests}: no utterance is long enough for its transcript: "
            f"{'; '.join(utterance.reason for utterance in unalignable[:_NAMED_UTTERANCES])}"
            f"{f'; and {more} more' if more > 0 else ''}"
        )
    frames = [dataset.utterance_frames(int(number)) for number in chosen]
    return SpeechDataset(
        dataset.frames if possible.all() else np.concatenate(frames),
        np.cumsum([0] + [len(part) for part in frames]),
        [dataset.targets[n] for n in chosen],
        [dataset.texts[n] for n in chosen],
        dataset.source[chosen],
        [dataset.names[n] for n in chosen],
        given - int(chosen.size),
        unalignable,
    )


def _fingerprint(recording: Path) -> list[str | int]:
    """What changes when a recording is replaced: place, size and time of writing."""
    facts = recording.stat()
    return [str(recording.resolve()), facts.st_size, facts.st_mtime_ns]


def _cached_features(
    utterances: Sequence[Utterance], config: MfccConfig, cache: Path, progress: Progress
) -> tuple[Float32Array, NDArray[np.int64]]:
    key = {
        "features": config.to_json(),
        "recordings": [_fingerprint(u.audio_filepath) for u in utterances],
    }
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    path = cache / f"features-{digest}.safetensors"
    if path.is_file():
        try:
            stored: dict[str, Any] = load_file(path)
            return stored["frames"], stored["start"]
        except (SafetensorError, KeyError):
            path.unlink()  # damaged: compute again
    parts = []
    for utterance in progress.track(utterances, description="features"):
        samples = read_audio(utterance.audio_filepath, config.sample_rate_hz).samples
        parts.append(extract_mfcc(samples, config).astype(np.float32))
    frames = np.concatenate(parts)
    start = np.cumsum([0] + [len(part) for part in parts])
    cache.mkdir(parents=True, exist_ok=True)
    atomic_file.write_bytes(path, save({"frames": frames, "start": start}))
    return frames, start
