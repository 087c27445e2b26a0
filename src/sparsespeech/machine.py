"""What this machine offers: processor, instruction sets, and the threads that we may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

# Flag of /proc/cpuinfo -> name in the processor's manual; the sets that the kernels ask for.
INSTRUCTION_SETS = {
    "sse2": "SSE2",
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512 F",
    "avx512bw": "AVX-512 BW",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512vbmi": "AVX-512 VBMI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
}
_CPUINFO = Path("/proc/cpuinfo")
_CGROUP_OF_PROCESS = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")


def processor_name(cpuinfo: Path = _CPUINFO) -> str:
    """Model name of the first processor, or "unknown"."""
    return _first_value(cpuinfo, "model name") or "unknown"


def instruction_sets(cpuinfo: Path = _CPUINFO) -> dict[str, bool]:
    """Which of INSTRUCTION_SETS the processor and the system have, by flag."""
    flags = set(_first_value(cpuinfo, "flags").split())
    return {flag: flag in flags for flag in INSTRUCTION_SETS}


def cpu_quota(process: Path = _CGROUP_OF_PROCESS, root: Path = _CGROUP_ROOT) -> float | None:
    """Processors that the control groups of this process grant; None if they set no limit.

    Version 2 (``cpu.max`` of the group and its parents) and version 1 (``cpu.cfs_quota_us``).
    """
    groups = {line.split(":", 2)[-1] for line in _lines(process)}
    folders = {root, root / "cpu"}
    for group in groups:
        path = root / group.lstrip("/")
        folders |= {path, *path.parents}
    quotas = [
        quota
        for folder in folders
        if folder.is_relative_to(root) and (quota := _quota(folder)) is not None
    ]
    return min(quotas, default=None)


def affinity() -> int:
    """Processors that this process may run on; all where the system, as macOS, does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def usable_threads() -> int:
    """Threads that can run at once: the affinity, cut by the control groups, at least 1."""
    quota = cpu_quota()
    return affinity() if quota is None else max(1, min(affinity(), math.floor(quota)))


def _quota(folder: Path) -> float | None:
    fields = " ".join(_lines(folder / "cpu.max")).split()
    if not fields:
        quota = " ".join(_lines(folder / "cpu.cfs_quota_us"))
        fields = [quota, " ".join(_lines(folder / "cpu.cfs_period_us"))]
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None  # "max", -1 or nothing there
    return int(fields[0]) / int(fields[1]) if int(fields[1]) else None


def _first_value(cpuinfo: Path, key: str) -> str:
    for line in _lines(cpuinfo):
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
