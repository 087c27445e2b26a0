"""A write that fails leaves the old content and no leftovers."""

import errno
import os
from pathlib import Path

import pytest

from sparsespeech import atomic_file


def full_disk(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a"
    atomic_file.write_text(path, "old")
    atomic_file.write_text(path, "new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_failing_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        atomic_file.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_reader_sees_the_old_or_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    seen: list[str] = []
    original = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append(path.read_text())
        return original(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    atomic_file.write_text(path, "new")
    assert seen == ["old"]  # whole until the rename, and there is a rename


def test_a_failing_block_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), atomic_file.new_folder(tmp_path / "f") as folder:
        (folder / "half").write_text("x")
        raise ValueError("stop")
    assert os.listdir(tmp_path) == []
