"""A local HTTP server that misbehaves on demand, for the tests of downloads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ArchiveServer:
    """Files by path, faults to commit, and the requests seen."""

    files: dict[str, bytes]
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)  # bytes of the body, one an answer
    status: list[int] = field(default_factory=list)  # error statuses to answer first
    requests: list[str | None] = field(default_factory=list)  # Range header of each request
    url: str = ""


@contextmanager
def serve(server: ArchiveServer) -> Iterator[ArchiveServer]:
    """Run ``server`` on a free port of this machine while the block runs."""

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
