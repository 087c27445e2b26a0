"""The compiled module, where it was built."""

from __future__ import annotations

from pathlib import Path

import pytest

native = pytest.importorskip("sparsespeech._native", reason="the native engine was not built")
LEVELS = ["scalar", "avx2", "avx512", "amx"]
# Linux lists a flag only where the processor has it and the kernel saves its registers.
FLAGS = {
    "avx2": {"avx2", "fma", "f16c"},
    "avx512": {
        "avx512f",
        "avx512dq",
        "avx512bw",
        "avx512vl",
        "avx512vbmi",
        "avx512_vbmi2",
        "avx512_vnni",
    },
    "amx": {"amx_tile", "amx_int8"},
}


def test_levels_are_a_prefix_of_the_known_ones() -> None:
    found = native.instruction_sets()
    assert found
    assert found == LEVELS[: len(found)]


def test_levels_agree_with_the_kernel() -> None:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("only Linux lists processor flags in a file")
    flags = next(
        (
            set(line.split())
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("flags")
        ),
        set(),
    )
    expected = ["scalar"]
    for level in LEVELS[1:]:
        if not FLAGS[level] <= flags:
            break
        expected.append(level)
    assert native.instruction_sets() == expected
