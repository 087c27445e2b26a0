"""The official LibriSpeech archives (OpenSLR resource 12): fetch, check, unpack."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from sparsespeech import atomic_file
from sparsespeech.corpora.download import Progress, fetch
from sparsespeech.errors import DownloadError

BASE_URL = "https://www.openslr.org/resources/12"

# md5sum.txt of OpenSLR resource 12.
ARCHIVE_MD5 = {
    "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931",
    "test-clean": "32fa31d27d2e1cad72775fff3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135",
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522",
    "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708",
}


def download_subset(
    subset: str,
    folder: Path,
    *,
    base_url: str = BASE_URL,
    md5: str | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Fetch and unpack one subset; returns ``folder/LibriSpeech/<subset>``.

    A subset that is already unpacked is not fetched again; the archive is removed once unpacked.
    ``md5`` overrides the published checksum, for mirrors of other archives in the same layout.
    Raises DownloadError.
    """
    if subset not in ARCHIVE_MD5 and md5 is None:
        raise DownloadError(f"unknown subset {subset!r}; expected one of {sorted(ARCHIVE_MD5)}")
    target = folder / "LibriSpeech" / subset
    if target.is_dir():
        return target
    archive = folder / f"{subset}.tar.gz"
    fetch(
        f"{base_url.rstrip('/')}/{subset}.tar.gz",
        archive,
        md5=md5 or ARCHIVE_MD5[subset],
        on_progress=on_progress,
    )
    unpack_subset(archive, subset, folder)
    archive.unlink()
    return target


def unpack_subset(archive: Path, subset: str, folder: Path) -> None:
    """Unpack ``LibriSpeech/<subset>/`` of a .tar.gz into ``folder``; all of it or nothing.

    Only plain files and folders with relative names below that place are written: a link, a
    device, an absolute name or one with ``..`` is a DownloadError. The corpus-wide text files
    (``LibriSpeech/*.TXT``) are kept if not yet there. What a killed run left is removed.
    """
    target = folder / "LibriSpeech" / subset
    for leftover in target.parent.glob(f".{subset}.*.partial"):
        shutil.rmtree(leftover, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    root = PurePosixPath("LibriSpeech") / subset
    found = False
    try:
        with atomic_file.new_folder(target) as partial, tarfile.open(archive, "r:gz") as members:
            for member in members:
                place = _checked_place(archive, member)
                if member.isdir():
                    continue
                if place.is_relative_to(root):
                    found = True
                    _write_member(members, member, partial / place.relative_to(root))
                elif place.parent == root.parent and place.suffix == ".TXT":
                    document = target.parent / place.name
                    if not document.exists():
                        with _open_member(members, member) as source:
                            atomic_file.write_bytes(document, source.read())
            if not found:
                raise DownloadError(
                    f"{archive}: holds no {root}/; expected the archive of {subset}"
                )
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DownloadError(f"{archive}: cannot unpack: {error}") from None


def _checked_place(archive: Path, member: tarfile.TarInfo) -> PurePosixPath:
    place = PurePosixPath(member.name)
    if place.is_absolute() or ".." in place.parts:
        raise DownloadError(f"{archive}: refuses member {member.name!r}, which leads outside")
    if not (member.isfile() or member.isdir()):
        raise DownloadError(f"{archive}: refuses member {member.name!r}, neither file nor folder")
    return place


def _open_member(members: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    source = members.extractfile(member)
    if source is None:
        raise DownloadError(f"{members.name!s}: cannot read member {member.name!r}")
    return source


def _write_member(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _open_member(members, member) as source, path.open("wb") as stream:
        shutil.copyfileobj(source, stream)
