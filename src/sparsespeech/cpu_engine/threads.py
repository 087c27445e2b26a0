"""How many threads the engine uses."""

from __future__ import annotations

import os
from typing import Literal

from sparsespeech import machine
from sparsespeech.errors import BackendError

Threads = int | Literal["auto"]
THREADS_VARIABLE = "SPARSESPEECH_THREADS"
LARGEST_THREADS = 1024
# A second of sound through a model of this size takes one thread less than a millisecond. A second
# thread saves half of that where it is idle, and costs many milliseconds where it has to wait for
# a busy processor.
SMALL_MODEL_NONZEROS = 1_000_000


def resolve_threads(threads: Threads = "auto", *, nonzeros: int = SMALL_MODEL_NONZEROS) -> int:
    """A number of threads, at least 1, for a model with so many ``nonzeros``.

    ``"auto"`` is SPARSESPEECH_THREADS if that is set, else 1 for a small model, else the
    processors that the affinity and the control groups of this process grant. Raises BackendError
    for anything but "auto" and 1 to 1024.
    """
    source = "threads"
    number: object = threads
    if threads == "auto":
        setting = os.environ.get(THREADS_VARIABLE, "auto") or "auto"
        if setting == "auto":
            return 1 if nonzeros < SMALL_MODEL_NONZEROS else machine.usable_threads()
        source = THREADS_VARIABLE
        number = int(setting) if setting.isascii() and setting.isdigit() else setting
    whole = isinstance(number, int) and not isinstance(number, bool)
    if not whole or not 1 <= int(str(number)) <= LARGEST_THREADS:
        raise BackendError(
            f"{source} is {number!r}, expected 'auto' or a number from 1 to {LARGEST_THREADS}"
        )
    return int(str(number))
