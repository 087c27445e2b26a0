"""Recordings of a corpus on disk: which files are audio and how long they last."""

from __future__ import annotations

from pathlib import Path

import soundfile

from sparsespeech.errors import ManifestError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph"})


def is_recording(path: Path) -> bool:
    """Whether the name of ``path`` is that of a recording."""
    return path.suffix.lower() in AUDIO_SUFFIXES


def recording_duration_s(path: Path, where: str) -> float:
    """Duration in seconds from the header of ``path``.

    Raises ManifestError, beginning with ``where``, if there is no recording or it is empty.
    """
    if not path.is_file():
        raise ManifestError(f"{where}: no recording at {path}")
    try:
        information = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise ManifestError(f"{where}: {path} is not a readable recording ({error})") from None
    if information.frames <= 0:
        raise ManifestError(f"{where}: {path} holds no samples")
    return float(information.frames) / float(information.samplerate)


def find_recording(stem: Path, where: str) -> Path:
    """The recording ``stem`` + one of AUDIO_SUFFIXES; ManifestError if there is none."""
    for suffix in sorted(AUDIO_SUFFIXES):
        candidate = stem.with_name(stem.name + suffix)
        if candidate.is_file():
            return candidate
    raise ManifestError(
        f"{where}: no recording {stem}.* (looked for {', '.join(sorted(AUDIO_SUFFIXES))})"
    )


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Numbered lines of a UTF-8 text file that are not blank; ManifestError if unreadable."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot read it: {error}") from None
    numbered = enumerate(content.split("\n"), start=1)
    return [(number, line) for number, line in numbered if line.strip()]


def require_folder(folder: Path) -> None:
    """Raise ManifestError unless ``folder`` is a folder."""
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise ManifestError(f"{folder}: expected a folder, found {found}")
