from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from sparsespeech.corpora.librispeech import read_librispeech
from sparsespeech.corpora.openslr import ARCHIVE_MD5, download_subset, unpack_subset
from sparsespeech.errors import DownloadError


def pack(members: list[tuple[tarfile.TarInfo | str, bytes]]) -> bytes:
    """A .tar.gz of names (or whole headers) and contents."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members:
            header = tarfile.TarInfo(name) if isinstance(name, str) else name
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def dev_clean(tmp_path: Path, write_tone: Callable[..., Path]) -> bytes:
    """A small archive in the form of the official dev-clean.tar.gz."""
    recording = write_tone(tmp_path / "tone.flac").read_bytes()
    place = "LibriSpeech/dev-clean/84/121123/84-121123"
    return pack(
        [
            ("LibriSpeech/SPEAKERS.TXT", b"84 | F | dev-clean | 8.02 | Christie Nowak\n"),
            (f"{place}-0000.flac", recording),
            (f"{place}.trans.txt", b"84-121123-0000 GO\n"),
        ]
    )


def test_a_subset_is_fetched_checked_and_unpacked_once(
    server: Any, dev_clean: bytes, tmp_path: Path
) -> None:
    server.files["/12/dev-clean.tar.gz"] = dev_clean
    server.break_after = [len(dev_clean) // 2]
    md5 = hashlib.md5(dev_clean).hexdigest()
    for _ in range(2):
        folder = download_subset(
            "dev-clean", tmp_path / "data", base_url=f"{server.url}/12/", md5=md5
        )
    assert server.requests == [None, f"bytes={len(dev_clean) // 2}-"]
    assert [utterance.text for utterance in read_librispeech(folder)] == ["go"]
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [
        "121123",
        "84",
        "84-121123-0000.flac",
        "84-121123.trans.txt",
        "LibriSpeech",
        "SPEAKERS.TXT",
        "dev-clean",
    ]


def test_the_published_checksum_is_demanded(server: Any, dev_clean: bytes, tmp_path: Path) -> None:
    server.files["/dev-clean.tar.gz"] = dev_clean
    with pytest.raises(DownloadError, match="expected 42e2234ba48799c1f50f24a7926300a1"):
        download_subset("dev-clean", tmp_path / "data", base_url=server.url)
    assert list((tmp_path / "data").iterdir()) == []


def test_checksums_are_those_of_the_seven_archives() -> None:
    assert len(set(ARCHIVE_MD5.values())) == 7
    assert all(len(bytes.fromhex(value)) == 16 for value in ARCHIVE_MD5.values())
    with pytest.raises(DownloadError, match="unknown subset 'dev'"):
        download_subset("dev", Path())


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


@pytest.mark.parametrize(
    "evil",
    [
        "../outside.txt",
        "LibriSpeech/dev-clean/../../../outside.txt",
        "/sparsespeech-outside/a.txt",
        link("LibriSpeech/dev-clean/link", "/etc/passwd", tarfile.SYMTYPE),
        link("LibriSpeech/dev-clean/link", "../../x", tarfile.LNKTYPE),
        link("LibriSpeech/dev-clean/pipe", "", tarfile.FIFOTYPE),
    ],
)
def test_members_that_lead_outside_are_refused(tmp_path: Path, evil: tarfile.TarInfo | str) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(pack([("LibriSpeech/dev-clean/84/a.txt", b"x"), (evil, b"")]))
    with pytest.raises(DownloadError, match="refuses member"):
        unpack_subset(archive, "dev-clean", tmp_path / "data")
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == ["LibriSpeech", "a.tar.gz", "data"]


def test_a_cut_or_foreign_archive_leaves_nothing(tmp_path: Path, dev_clean: bytes) -> None:
    archive = tmp_path / "a.tar.gz"
    for content in (dev_clean[:-200], b"not an archive", b"", dev_clean[:100] + bytes(50)):
        archive.write_bytes(content)
        with pytest.raises(DownloadError, match="cannot unpack"):
            unpack_subset(archive, "dev-clean", tmp_path / "data")
        assert not list((tmp_path / "data" / "LibriSpeech").glob("*dev-clean*"))
    archive.write_bytes(dev_clean)
    with pytest.raises(DownloadError, match=r"holds no LibriSpeech/test-clean/"):
        unpack_subset(archive, "test-clean", tmp_path / "data")


class KilledError(BaseException):
    """What no handler of the code under test gets to see, like a kill."""


def test_a_text_cut_short_by_a_kill_is_whole_after_the_next_run(
    tmp_path: Path, dev_clean: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die_half_way(source: IO[bytes], stream: IO[bytes]) -> None:
        stream.write(source.read(10))
        raise KilledError

    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(dev_clean)
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", die_half_way)
        patch.setattr("shutil.rmtree", lambda *arguments, **options: None)  # killed
        with pytest.raises(KilledError):
            unpack_subset(archive, "dev-clean", tmp_path / "data")
    (partial,) = (tmp_path / "data" / "LibriSpeech").glob(".dev-clean.*.partial")
    partial.rename(partial.with_name(".dev-clean.4194305.partial"))  # of a process that is gone
    (partial.parent / ".dev-other.7.partial").mkdir()  # of another subset: may be at work
    unpack_subset(archive, "dev-clean", tmp_path / "data")
    found = {path.name: path for path in partial.parent.iterdir()}
    assert found.keys() == {"SPEAKERS.TXT", "dev-clean", ".dev-other.7.partial"}
    assert found["SPEAKERS.TXT"].read_text().endswith("Christie Nowak\n")
