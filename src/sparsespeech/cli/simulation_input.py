"""What ``simulate`` is given to hear: recordings, folders and manifests as feature windows.

Axes: T frames, C inputs of one window (494).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator import feature_windows
from sparsespeech.audio.finding import find_recordings
from sparsespeech.audio.reading import read_audio
from sparsespeech.cli.failure import print_warning
from sparsespeech.corpora.manifest import read_manifest
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.model_file.model import IntegerModel

MANIFEST_SUFFIX = ".jsonl"


@dataclass(frozen=True, eq=False)
class SpokenInput:
    """One recording as the accelerator takes it."""

    path: Path
    duration_s: float
    windows: NDArray[np.uint8]  # [T, C]


def named_recordings(paths: Iterable[Path]) -> list[Path]:
    """Recordings of files, folders and manifests.

    Raises AudioError or ManifestError.
    """
    found: list[Path] = []
    for path in paths:
        if path.suffix == MANIFEST_SUFFIX:
            found += [utterance.audio_filepath for utterance in read_manifest(path)]
        else:
            found += find_recordings([path])
    return found


def read_spoken_input(
    path: Path, model: IntegerModel, *, allow_truncated: bool = False
) -> SpokenInput:
    """Features of the recording at ``path``, as ``model`` quantises them.

    Raises AudioError for a recording that cannot be used.
    """
    rate = MfccConfig.from_json(model.features).sample_rate_hz
    recording = read_audio(path, rate, allow_truncated=allow_truncated)
    if recording.truncated:
        print_warning(f"{path}: is truncated; these are the cycles of what is there")
    windows = feature_windows(recording.samples, model)
    return SpokenInput(path, recording.duration_s, windows)
