from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from sparsespeech.corpora.download import fetch, file_md5
from sparsespeech.errors import DownloadError

CONTENT = random.Random(1).randbytes(1_000_003)
MD5 = hashlib.md5(CONTENT).hexdigest()


def get(server: Any, target: Path, **settings: Any) -> list[float]:
    """Fetch the file of ``server``; returns the waits between the attempts."""
    waits: list[float] = []
    fetch(f"{server.url}/a.tar.gz", target, md5=MD5, wait=waits.append, **settings)
    return waits


@pytest.fixture
def archive(server: Any) -> Any:
    """The server with one good file."""
    server.files["/a.tar.gz"] = CONTENT
    return server


def test_a_file_arrives_once(archive: Any, tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.tar.gz"
    seen: list[tuple[int, int | None]] = []
    assert get(archive, target, on_progress=lambda *step: seen.append(step)) == []
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    get(archive, target)
    assert archive.requests == [None]
    assert [path.name for path in target.parent.iterdir()] == ["a.tar.gz"]


def test_an_interrupted_transfer_goes_on_where_it_stopped(archive: Any, tmp_path: Path) -> None:
    archive.break_after = [300_000, 200_000]
    waits = get(archive, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT
    assert archive.requests == [None, "bytes=300000-", "bytes=500000-"]
    assert waits == [1.0, 1.0]


def test_another_run_goes_on_where_the_first_stopped(archive: Any, tmp_path: Path) -> None:
    archive.break_after = [300_000, 0, 0]
    with pytest.raises(DownloadError, match="300000 bytes are kept, the same command goes on"):
        get(archive, tmp_path / "a.tar.gz", attempts=3)
    assert not (tmp_path / "a.tar.gz").exists()
    archive.requests.clear()
    get(archive, tmp_path / "a.tar.gz")
    assert archive.requests == ["bytes=300000-"]
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_afresh(archive: Any, tmp_path: Path) -> None:
    archive.ranges = False
    archive.break_after = [300_000]
    get(archive, tmp_path / "a.tar.gz")
    assert archive.requests == [None, "bytes=300000-"]
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_breaks_is_given_up(
    archive: Any, tmp_path: Path
) -> None:
    archive.ranges = False
    archive.break_after = [300_000] * 100
    with pytest.raises(DownloadError, match="closed early"):
        get(archive, tmp_path / "a.tar.gz", attempts=4)
    assert len(archive.requests) == 4


def test_a_wrong_checksum_leaves_nothing(archive: Any, tmp_path: Path) -> None:
    archive.files["/a.tar.gz"] = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=f"MD5 is [0-9a-f]{{32}}, expected {MD5}"):
        get(archive, tmp_path / "a.tar.gz")
    assert list(tmp_path.iterdir()) == []


def test_left_over_bytes_of_another_file_are_thrown_away(archive: Any, tmp_path: Path) -> None:
    (tmp_path / ".a.tar.gz.download").write_bytes(b"stale" * 1000)
    get(archive, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT
    assert archive.requests == ["bytes=5000-", None]


def test_a_complete_left_over_is_taken_over(archive: Any, tmp_path: Path) -> None:
    (tmp_path / ".a.tar.gz.download").write_bytes(CONTENT)
    get(archive, tmp_path / "a.tar.gz")
    assert (tmp_path / "a.tar.gz").read_bytes() == CONTENT
    assert archive.requests == [f"bytes={len(CONTENT)}-"]


def test_a_damaged_target_is_fetched_again(archive: Any, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(CONTENT[:-1])
    get(archive, tmp_path / "a.tar.gz")
    assert file_md5(tmp_path / "a.tar.gz") == MD5


def test_a_failing_server_is_asked_again_with_growing_waits(archive: Any, tmp_path: Path) -> None:
    archive.status = [503, 500, 503]
    assert get(archive, tmp_path / "a.tar.gz") == [1.0, 2.0, 4.0]
    archive.status = [503] * 10
    with pytest.raises(DownloadError, match="status 503"):
        get(archive, tmp_path / "b.tar.gz", attempts=3)


def test_a_missing_file_is_not_asked_for_again(server: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="status 404"):
        get(server, tmp_path / "a.tar.gz")
    assert server.requests == [None]


def test_no_server_at_all(tmp_path: Path) -> None:
    waits: list[float] = []
    with pytest.raises(DownloadError, match="2 attempts"):
        fetch(
            "http://127.0.0.1:9/a.tar.gz",
            tmp_path / "a",
            md5=MD5,
            attempts=2,
            wait=waits.append,
        )
    assert waits == [1.0]


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://localhost/a", "a.tar.gz"])
def test_only_web_addresses_are_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="expected an http or https address"):
        fetch(url, tmp_path / "a", md5=MD5)
