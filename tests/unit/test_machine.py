from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparsespeech import machine

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Some Processor @ 2.80GHz
flags\t\t: fpu sse2 avx2 avx512f avx512_vnni

processor\t: 1
model name\t: Another
flags\t\t: amx_int8
"""


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_first_processor(tmp_path: Path) -> None:
    cpuinfo = write(tmp_path / "cpuinfo", CPUINFO)
    assert machine.processor_name(cpuinfo) == "Some Processor @ 2.80GHz"
    found = {flag for flag, has in machine.instruction_sets(cpuinfo).items() if has}
    assert found == {"sse2", "avx2", "avx512f", "avx512_vnni"}


def test_no_cpuinfo(tmp_path: Path) -> None:
    assert machine.processor_name(tmp_path / "none") == "unknown"
    assert not any(machine.instruction_sets(tmp_path / "none").values())


def test_quota_of_version_2_is_the_smallest_on_the_way_up(tmp_path: Path) -> None:
    process = write(tmp_path / "cgroup", "0::/pods/one\n")
    root = tmp_path / "fs"
    write(root / "cpu.max", "max 100000\n")
    assert machine.cpu_quota(process, root) is None
    write(root / "pods" / "cpu.max", "400000 100000\n")
    write(root / "pods" / "one" / "cpu.max", "max 100000\n")
    assert machine.cpu_quota(process, root) == 4.0
    write(root / "pods" / "one" / "cpu.max", "150000 100000\n")
    assert machine.cpu_quota(process, root) == 1.5


def test_quota_of_version_1(tmp_path: Path) -> None:
    process = write(tmp_path / "cgroup", "2:cpu:/\n1:memory:/x\n")
    root = tmp_path / "fs"
    write(root / "cpu" / "cpu.cfs_quota_us", "-1\n")
    write(root / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert machine.cpu_quota(process, root) is None
    write(root / "cpu" / "cpu.cfs_quota_us", "250000\n")
    assert machine.cpu_quota(process, root) == 2.5


@pytest.mark.parametrize(
    ("quota", "allowed", "threads"), [(None, 4, 4), (2.9, 4, 2), (0.5, 4, 1), (9.0, 4, 4)]
)
def test_usable_threads(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, allowed: int, threads: int
) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)))
    assert machine.usable_threads() == threads


@pytest.mark.parametrize(("processors", "threads"), [(6, 6), (None, 1)])
def test_a_system_that_knows_no_affinity(
    monkeypatch: pytest.MonkeyPatch, processors: int | None, threads: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert machine.affinity() == threads
