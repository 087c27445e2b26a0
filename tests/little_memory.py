"""Whether code asks for much memory, in a process of tests that may be of any size already."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESSES = 2**32  # bytes that may be asked for; threads that start reserve some of them
RESIDENT = 2**26  # bytes that may be in use at once
_FORGET_PEAK = Path("/proc/self/clear_refs")


@contextmanager
def little_memory() -> Iterator[None]:
    """The block fails if it asks for more than ADDRESSES or uses more than RESIDENT.

    The peak that ``getrusage`` knows is that of all tests so far, and memory that is asked for but
    never touched is no part of it. Where the kernel does not count anew, nothing is judged.
    """
    if not _FORGET_PEAK.exists():
        yield
        return
    _FORGET_PEAK.write_text("5")
    before = _bytes("VmRSS")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_bytes("VmSize") + ADDRESSES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    used = _bytes("VmHWM") - before
    assert used < RESIDENT, f"{used} bytes more were in use"


def _bytes(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])
