"""Recordings named on a command line: files as they are, folders searched for known suffixes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sparsespeech.audio import media
from sparsespeech.errors import AudioError

SUFFIXES = media.SUFFIXES | {
    ".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".w64",
    ".wav", ".wave",
}  # fmt: skip


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """Each file of ``paths``, and the recordings below each folder, sorted within the folder.

    Hidden files and folders are passed over; a recording named twice is kept once. Raises
    AudioError for a folder that holds no recording. Missing files are kept: reading names them.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            below = _search(path)
            if not below:
                raise AudioError(
                    f"{path}: the folder holds no recording; expected files ending in "
                    f"{', '.join(sorted(SUFFIXES))}"
                )
            found.update(dict.fromkeys(below))
        else:
            found[path] = None
    return list(found)


def _search(folder: Path) -> list[Path]:
    recordings = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES:
                recordings.append(path)
    return sorted(recordings)
