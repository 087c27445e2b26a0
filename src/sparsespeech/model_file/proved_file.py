"""Files that are proved as a whole: models and accelerator programs.

One is read within a cap of its length, and written only if its reader takes the bytes. Each kind of
file has its own error class; what its rules say of the file itself is one rule, named in messages.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sparsespeech import atomic_file
from sparsespeech.errors import SparseSpeechError
from sparsespeech.model_file import limits

_LONGEST_MESSAGE = 600  # characters; a forged file cannot flood the terminal
Proved = TypeVar("Proved")


def read_proved(
    file: Path,
    decode: Callable[[bytes], Proved],
    error_class: type[SparseSpeechError],
    *,
    rule: str,
    if_absent: str = "",
) -> Proved:
    """What ``decode`` makes of all bytes of ``file``.

    Raises ``error_class`` with the file's name before what ``decode`` says, or with ``rule`` for a
    file that is none, is longer than the cap, or cannot be read (``if_absent``: what to do then).
    """
    try:
        return decode(_content(file, error_class, rule, if_absent))
    except error_class as error:
        message = f"{file}: {error}".replace("\n", " ")
        if len(message) > _LONGEST_MESSAGE:  # keep both ends: the file and the rule
            half = _LONGEST_MESSAGE // 2
            message = f"{message[: half - 3]}...{message[-half:]}"
        raise error_class(message) from None


def write_proved(
    file: Path,
    encode: Callable[[], bytes],
    decode: Callable[[bytes], object],
    error_class: type[SparseSpeechError],
) -> None:
    """Write the bytes of ``encode`` to ``file`` atomically, if ``decode`` takes them.

    A failure of any kind leaves an old file as it was. Raises ``error_class`` with the file's name
    for what ``encode`` or ``decode`` refuse, and where the disk does.
    """
    try:
        content = encode()
        decode(content)  # nothing is written that the reader would refuse
        atomic_file.write_bytes(file, content)
    except error_class as error:
        raise error_class(f"{file}: not written: {error}") from None
    except OSError as error:
        raise error_class(
            f"{file}: not written: {error.strerror}; what stood there before is unchanged"
        ) from error


def _content(file: Path, error_class: type[SparseSpeechError], rule: str, if_absent: str) -> bytes:
    """All bytes of a regular file within the cap."""
    try:
        facts = file.stat()  # before opening: opening a pipe would wait for its other end
        if not stat.S_ISREG(facts.st_mode):
            raise error_class(f"is not a regular file (rule {rule})")
        if facts.st_size > limits.FILE_BYTES:
            raise error_class(
                f"holds {facts.st_size} bytes, at most {limits.FILE_BYTES} are allowed "
                f"(rule {rule})"
            )
        with file.open("rb") as stream:
            content = stream.read(facts.st_size + 1)
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        advice = f"; {if_absent}" if if_absent and isinstance(error, FileNotFoundError) else ""
        raise error_class(f"cannot be read: {reason}{advice} (rule {rule})") from None
    except ValueError as error:  # a path with a null byte
        raise error_class(f"cannot be read: {error} (rule {rule})") from None
    if len(content) != facts.st_size:
        raise error_class(f"changed its length while it was read (rule {rule})")
    return content
