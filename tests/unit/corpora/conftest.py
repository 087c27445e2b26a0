"""Recordings, synthesizers and a server that the tests of corpora share."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

WriteTone = Callable[..., Path]


@pytest.fixture
def write_tone() -> WriteTone:
    """Write a sine as a recording; the format follows the name."""

    def write(path: Path, duration_s: float = 0.5, rate_hz: int = 16000) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        format_name = "OGG" if path.suffix in (".ogg", ".opus") else None
        subtype = "OPUS" if path.suffix == ".opus" else None
        soundfile.write(
            path, 0.3 * np.sin(2 * np.pi * 440 * times), rate_hz, subtype, format=format_name
        )
        return path

    return write


@pytest.fixture
def flite() -> None:
    """Skip a test where flite is not installed."""
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt-get install flite)")


@pytest.fixture
def espeak() -> None:
    """Skip a test where espeak-ng is not installed."""
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed (apt-get install espeak-ng)")


@pytest.fixture
def festival() -> None:
    """Skip a test where festival or its voices are not installed."""
    voices = ("english/kal_diphone", "english/ked_diphone", "us/cmu_us_slt_arctic_hts")
    if shutil.which("festival") is None or not all(
        Path("/usr/share/festival/voices", voice).is_dir() for voice in voices
    ):
        pytest.skip(
            "festival or a voice of it is not installed (apt-get install festival "
            "festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts)"
        )


@dataclass
class ArchiveServer:
    """A local HTTP server: its files by path, faults to commit, requests seen."""

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes of the body, one an answer
    status: list[int] = field(default_factory=list)  # error statuses to answer first
    requests: list[str | None] = field(default_factory=list)  # Range header of each request
    url: str = ""


@pytest.fixture
def server() -> Iterator[ArchiveServer]:
    """A server of this test's own on a free port of this machine."""
    server = ArchiveServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.requests.append(wanted)
            body = server.files.get(self.path)
            if server.status or body is None:
                self.send_error(server.status.pop(0) if server.status else 404)
                return
            start = 0
            if wanted is not None and server.ranges:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(body):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            end = start + server.break_after.pop(0) if server.break_after else len(body)
            self.wfile.write(body[start:end])

        def log_message(self, format: str, *arguments: object) -> None:
            """Keep the output of the tests clean."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
