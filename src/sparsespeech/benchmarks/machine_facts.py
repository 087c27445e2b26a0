"""The machine and the software of a measurement, for the JSON beside every published figure."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sparsespeech import __version__, machine

_LIBRARIES = ("numpy", "scipy")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def machine_facts() -> dict[str, Any]:
    """Processor, its flags and caches, memory, load, operating system and library versions."""
    flags = machine.instruction_sets()
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "processor": machine.processor_name(),
        "cpu_flags": [flag for flag, present in flags.items() if present],
        "usable_threads": machine.usable_threads(),
        "caches": cache_sizes(),
        "memory_gib": round(pages * page_bytes / 2**30, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"sparsespeech": __version__, **library_versions(_LIBRARIES)},
    }


def library_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of the installed ones among ``names``."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def cache_sizes(folder: Path = _CACHES) -> dict[str, str]:
    """Size of each cache of the first processor, as the system writes it: {"L2": "1024K"}."""
    sizes = {}
    for cache in sorted(folder.glob("index*")):
        try:
            level, kind, size = (
                (cache / name).read_text(encoding="ascii").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            sizes[f"L{level}"] = size
    return sizes
