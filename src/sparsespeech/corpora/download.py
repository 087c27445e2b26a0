"""Fetch a large file over HTTP: resumable, retried, and taken over only when its checksum fits.

The bytes gather in ``.NAME.download`` beside the target, which survives interruptions; the next
attempt asks for the rest with a Range request. A server that ignores the range starts afresh.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from sparsespeech.errors import DownloadError

_BLOCK_BYTES = 1 << 18
_PERMANENT_STATUS = frozenset({400, 401, 403, 404, 405, 410})
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206

Progress = Callable[[int, int | None], None]


def fetch(
    url: str,
    target: Path,
    *,
    md5: str,
    attempts: int = 5,
    timeout_s: float = 30.0,
    wait: Callable[[float], None] = time.sleep,
    on_progress: Progress | None = None,
) -> None:
    """Bring ``url`` to ``target``; a ``target`` with the right checksum is left as it is.

    ``on_progress`` gets bytes present and bytes in all (None if unknown). ``attempts`` counts
    tries in a row without a new byte; the waits between them are 1, 2, 4, ... s. Raises
    DownloadError for a wrong checksum, a refusing or failing server and a full disk.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: expected an http or https address")
    if target.is_file() and file_md5(target) == md5:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.download")
    resumed = partial.is_file() and partial.stat().st_size > 0
    _fetch_all(url, partial, attempts, timeout_s, wait, on_progress)
    found = file_md5(partial)
    if found != md5 and resumed:
        # The bytes of an earlier run may stem from another version of the file.
        partial.unlink()
        _fetch_all(url, partial, attempts, timeout_s, wait, on_progress)
        found = file_md5(partial)
    if found != md5:
        partial.unlink()
        raise DownloadError(
            f"{url}: MD5 is {found}, expected {md5}; the server holds another or a damaged file, "
            f"try again or name a mirror with --base-url"
        )
    partial.replace(target)


def file_md5(path: Path) -> str:
    """MD5 of a file in lower-case hexadecimal (the checksum that OpenSLR publishes)."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _fetch_all(
    url: str,
    partial: Path,
    attempts: int,
    timeout_s: float,
    wait: Callable[[float], None],
    on_progress: Progress | None,
) -> None:
    failures = 0
    while True:
        before = partial.stat().st_size if partial.is_file() else 0
        try:
            if _fetch_rest(url, partial, before, timeout_s, on_progress):
                return
            problem = "the connection closed early"
        except urllib.error.HTTPError as error:
            problem = f"status {error.code} {error.reason}"
            error.close()
            if error.code in _PERMANENT_STATUS:
                raise DownloadError(f"{url}: {problem}; check the name or --base-url") from None
            if error.code == _RANGE_NOT_SATISFIABLE:
                return  # everything is there already; the checksum decides
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            TimeoutError,
            ConnectionError,
        ) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        after = partial.stat().st_size if partial.is_file() else 0
        failures = 1 if after > before else failures + 1
        if failures >= attempts:
            raise DownloadError(
                f"{url}: {problem} ({attempts} attempts); {after} bytes are kept, the same "
                f"command goes on from there"
            )
        wait(float(2 ** (failures - 1)))


def _fetch_rest(
    url: str, partial: Path, offset: int, timeout_s: float, on_progress: Progress | None
) -> bool:
    """Append what is missing after ``offset`` bytes; returns whether the file is complete."""
    request = urllib.request.Request(url, headers={"User-Agent": "sparsespeech"})
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    with urllib.request.urlopen(request, timeout=timeout_s) as response:
        if response.status != _PARTIAL_CONTENT:
            offset = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            raise http.client.HTTPException(
                f"answered with the range {response.headers.get('Content-Range')!r}"
            )
        length = response.headers.get("Content-Length")
        total = offset + int(length) if length is not None and length.isdigit() else None
        present = _append(response, partial, offset, total, on_progress)
    return total is None or present == total


def _append(
    response: http.client.HTTPResponse,
    partial: Path,
    offset: int,
    total: int | None,
    on_progress: Progress | None,
) -> int:
    with partial.open("r+b" if offset else "wb") as stream:
        stream.seek(offset)
        while block := response.read(_BLOCK_BYTES):
            try:
                stream.write(block)
            except OSError as error:
                raise DownloadError(f"{partial}: cannot write: {error}") from None
            if on_progress is not None:
                on_progress(stream.tell(), total)
        stream.flush()
        os.fsync(stream.fileno())
        return stream.tell()
