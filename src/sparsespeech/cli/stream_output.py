"""How ``stream`` shows text that is still growing."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict

from sparsespeech.streaming import StreamResult

_ERASE_LINE = "\r\x1b[2K"


class StreamOutput:
    """Finished lines to stdout, partial ones to stderr; or JSON lines, all to stdout.

    On a terminal a partial line takes the place of the one before it; elsewhere each change is a
    line of its own.
    """

    def __init__(self, *, as_json: bool) -> None:
        """``as_json``: one object a line, with ``type`` "partial" or "final"."""
        self._as_json = as_json
        self._terminal = sys.stderr.isatty()
        self._partial = ""
        self._lines = 0

    def show_partial(self, result: StreamResult) -> None:
        """Show the utterance under way, if its text has changed."""
        if result.text == self._partial:
            return
        self._partial = result.text
        if self._as_json:
            record = {"type": "partial", "text": result.text, "duration_s": result.duration_s}
            print(json.dumps(record, ensure_ascii=False), flush=True)
        elif self._terminal:
            width = max(1, shutil.get_terminal_size().columns - 1)
            print(_ERASE_LINE + result.text[-width:], end="", file=sys.stderr, flush=True)
        elif result.text:
            print(result.text, file=sys.stderr, flush=True)

    def show_final(self, result: StreamResult) -> None:
        """Show an utterance that has ended."""
        self._lines += 1
        if self._as_json:
            record = asdict(result)
            del record["final"]
            print(json.dumps({"type": "final", **record}, ensure_ascii=False), flush=True)
        else:
            self._erase_partial()
            print(result.text, flush=True)
        self._partial = ""

    def show_last(self, result: StreamResult) -> None:
        """Show the end of the stream; a stream without any text is one empty line, as a file is."""
        if result.text or not self._lines:
            self.show_final(result)
        else:
            self._erase_partial()

    def _erase_partial(self) -> None:
        if self._terminal and self._partial:
            print(_ERASE_LINE, end="", file=sys.stderr, flush=True)
