from __future__ import annotations

from pathlib import Path

import pytest

from sparsespeech.audio.finding import find_recordings
from sparsespeech.errors import AudioError


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_searched_in_order(tmp_path: Path) -> None:
    make(tmp_path, "b.wav", "a/z.FLAC", "a/c.txt", "a.mp3", ".hidden/x.wav", "._a.wav", "d.opus")
    found = [str(path.relative_to(tmp_path)) for path in find_recordings([tmp_path])]
    assert found == ["a/z.FLAC", "a.mp3", "b.wav", "d.opus"]


def test_named_files_are_kept_whatever_they_are(tmp_path: Path) -> None:
    make(tmp_path, "folder/b.wav", "strange.xyz")
    strange, missing = tmp_path / "strange.xyz", tmp_path / "missing.wav"
    folder = tmp_path / "folder"
    assert find_recordings([strange, folder, missing, folder / "b.wav", strange]) == [
        strange,
        folder / "b.wav",
        missing,
    ]


def test_folder_without_recordings(tmp_path: Path) -> None:
    make(tmp_path, "notes.txt")
    with pytest.raises(AudioError, match=r"holds no recording; expected .*\.flac.*\.wav"):
        find_recordings([tmp_path])


def test_links_to_folders_are_not_followed_in_circles(tmp_path: Path) -> None:
    make(tmp_path, "a.wav")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert find_recordings([tmp_path]) == [tmp_path / "a.wav"]
