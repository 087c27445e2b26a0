"""Write a file or a folder so that a reader never sees half of it.

The bytes go to a temporary sibling, are synced to disk and renamed over the target; then the
folder entry is synced. A kill or a full disk at any moment leaves the old content intact.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` atomically; on OSError the old file is left."""
    write_all({path: content})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Replace several files; on OSError, which names the path at fault, none is replaced.

    Only renames are left when the first file changes. (A kill between two renames can leave the
    rest as they were.)
    """
    partials = {path: path.with_name(f".{path.name}.{os.getpid()}.partial") for path in contents}
    path = Path()
    try:
        for path, partial in partials.items():
            with partial.open("wb") as stream:
                stream.write(contents[path])
                stream.flush()
                os.fsync(stream.fileno())
        for path, partial in partials.items():
            partial.replace(path)
    except BaseException as error:
        for partial in partials.values():
            with suppress(OSError):  # what made the write fail is what counts
                partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)  # not the sibling's, nor both of a rename
            error.filename2 = None
        raise
    for folder in {path.parent for path in contents}:
        _sync_folder(folder)


def write_text(path: Path, content: str) -> None:
    """UTF-8 form of :func:`write_bytes`."""
    write_bytes(path, content.encode("utf-8"))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes ``path`` when the block ends without an error.

    ``path`` must not exist. Files inside are synced before the rename.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in sorted(partial.rglob("*")):
            if file.is_file():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
        _sync_folder(partial)
        partial.rename(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
