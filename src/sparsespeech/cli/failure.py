"""How every command reports an expected failure: one line on stderr, exit status 2."""

from __future__ import annotations

import sys

FAILURE_STATUS = 2


def print_failure(message: str) -> None:
    """Write ``sparsespeech: error: MESSAGE``, line breaks replaced by spaces."""
    _print_line("error", message)


def print_warning(message: str) -> None:
    """Write ``sparsespeech: warning: MESSAGE``, line breaks replaced by spaces."""
    _print_line("warning", message)


def _print_line(kind: str, message: str) -> None:
    print(f"sparsespeech: {kind}: {' '.join(message.split())}", file=sys.stderr)
