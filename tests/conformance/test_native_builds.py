"""The native tests under sanitizers and on old processors, and where special instructions may be.

Each test builds with CMake in a folder of its own. Skipped where a tool is missing.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.native_objects import Encoding, Symbol, instructions, shared_functions

pytestmark = pytest.mark.slow

X86 = platform.machine() in ("x86_64", "AMD64")
BASELINE = {Encoding.BASELINE}
ALLOWED = {
    "scalar": BASELINE,
    "avx2": BASELINE | {Encoding.SSSE3, Encoding.VEX},
    "avx512": BASELINE | {Encoding.SSSE3, Encoding.VEX, Encoding.EVEX},
    "avx512_bf16": BASELINE | {Encoding.SSSE3, Encoding.VEX, Encoding.EVEX},
    "amx": set(Encoding),
    "amx_bf16": set(Encoding),
}


def tool(name: str) -> str:
    """The path of a program; skips the test where there is none."""
    found = shutil.which(
        name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def compiler() -> str:
    return os.environ.get("CXX") or tool("c++")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; the test fails with its output where it fails."""
    jobs = {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)}
    result = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        env=jobs | os.environ,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-8000:]}\n{result.stderr[-8000:]}"
    return result


def build(repository: Path, folder: Path, *options: str) -> Path:
    """Builds the engine and the native tests; returns the build folder."""
    compiler()
    cmake = tool("cmake")
    run(
        *(cmake, "-S", repository, "-B", folder, "-DCMAKE_BUILD_TYPE=Release"),
        *("-DSPARSESPEECH_NATIVE_TESTS=ON", *options),
    )
    run(cmake, "--build", folder)
    return folder


@pytest.fixture(scope="module")
def release(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Elsewhere another compiler may warn of what this one does not; it must not fail a test.
    strict = ["-DCMAKE_COMPILE_WARNING_AS_ERROR=ON"] if os.environ.get("CI") else []
    return build(repository, tmp_path_factory.mktemp("release"), *strict)


def native_tests(folder: Path) -> list[Path]:
    tests = sorted(path for path in folder.glob("*_test") if path.is_file())
    assert len(tests) >= 4
    return tests


def objects(folder: Path, target: str) -> list[Path]:
    found = sorted((folder / "CMakeFiles" / f"{target}.dir").rglob("*.o"))
    assert found, f"no objects of {target}"
    return found


def test_native_tests_pass_under_sanitizers(repository: Path, tmp_path: Path) -> None:
    folder = build(repository, tmp_path, "-DSPARSESPEECH_SANITIZE=address,undefined")
    run(tool("ctest"), "--test-dir", folder, "--output-on-failure")


@pytest.mark.skipif(not X86, reason="looks at x86-64 code")
@pytest.mark.parametrize("level", ALLOWED)
def test_kernels_hold_instructions_of_their_level_only(release: Path, level: str) -> None:
    tool("objdump")
    found = {Encoding.BASELINE}
    for path in objects(release, f"kernels_{level}"):
        for instruction in instructions(path):
            found.add(instruction.encoding)
            assert instruction.encoding in ALLOWED[level], instruction.text
    strongest = {
        "scalar": Encoding.BASELINE,
        "avx2": Encoding.VEX,
        "avx512": Encoding.EVEX,
        "avx512_bf16": Encoding.EVEX,
    }
    assert strongest.get(level, Encoding.TILE) in found  # the folder was compiled with its flags


@pytest.mark.skipif(not X86, reason="looks at x86-64 code")
def test_everything_else_holds_baseline_instructions_only(release: Path) -> None:
    tool("objdump")
    targets = ["sparsespeech_engine", *(path.name for path in native_tests(release))]
    for target in targets:
        for path in objects(release, target):
            for instruction in instructions(path):
                assert instruction.encoding is Encoding.BASELINE, instruction.text


@pytest.mark.skipif(not X86, reason="looks at x86-64 code")
@pytest.mark.parametrize("level", ["avx2", "avx512", "avx512_bf16", "amx"])
def test_kernels_share_no_code_with_other_objects(release: Path, level: str) -> None:
    """The linker keeps one copy of an inline function or template that several objects define.

    If that were the copy of a kernel folder, the whole engine would run it on every processor.
    """
    tool("nm")
    for path in objects(release, f"kernels_{level}"):
        for symbol in shared_functions(path):
            assert not symbol.weak, f"{path.name}: {symbol.name}"
            assert symbol.name.startswith(f"sparsespeech::{level}_"), f"{path.name}: {symbol.name}"


@pytest.mark.skipif(not X86, reason="looks at x86-64 code")
def test_the_checks_of_objects_see_what_they_look_for(tmp_path: Path) -> None:
    tool("objdump")
    special, plain = tmp_path / "special.cc", tmp_path / "plain.cc"
    special.write_text(
        "#include <immintrin.h>\n"
        "template <typename T>\n"
        "__attribute__((noinline)) T twice(T value) { return value + value; }\n"
        "float shared(float value) { return twice(value); }\n"
        "void wide(int* p) { _mm512_storeu_si512(p, _mm512_loadu_si512(p + 16)); }\n"
    )
    plain.write_text(
        "#include <tmmintrin.h>\n"
        "void lower(__m128i* p) { _mm_storeu_si128(p, _mm_abs_epi8(_mm_loadu_si128(p + 1))); }\n"
    )
    for source, flag in ((special, "-mavx512f"), (plain, "-mssse3")):
        run(compiler(), "-O2", flag, "-c", source, "-o", source.with_suffix(".o"))
    special, plain = special.with_suffix(".o"), plain.with_suffix(".o")
    assert Symbol("float twice<float>(float)", weak=True) in shared_functions(special)
    assert {Encoding.VEX, Encoding.EVEX} <= {found.encoding for found in instructions(special)}
    assert {found.encoding for found in instructions(plain)} == {Encoding.BASELINE, Encoding.SSSE3}


def emulator() -> str:
    return tool("qemu-x86_64")


PROCESSORS = {"Nehalem": ["scalar"], "Haswell": ["scalar", "avx2"]}


@pytest.mark.skipif(not X86, reason="runs x86-64 programs")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_native_tests_pass_on_old_processors(release: Path, processor: str) -> None:
    for program in native_tests(release):
        run(emulator(), "-cpu", processor, program)
    result = run(emulator(), "-cpu", processor, release / "matrix_product_test")
    sets = [line.split(":")[0] for line in result.stdout.splitlines()]
    assert sets == PROCESSORS[processor]


@pytest.mark.skipif(not X86, reason="runs x86-64 programs")
@pytest.mark.parametrize(
    ("processor", "flag", "runs"),
    [
        ("Nehalem", "-msse4.2", True),
        ("Nehalem", "-mavx2", False),
        ("Haswell", "-mavx2", True),
        ("Haswell", "-mavx512f", False),
    ],
)
def test_the_emulator_refuses_instructions_that_a_processor_lacks(
    tmp_path: Path, processor: str, flag: str, runs: bool
) -> None:
    source, program = tmp_path / "sum.cc", tmp_path / "sum"
    source.write_text(
        "#include <cstdlib>\n"
        "int main(int count, char**) {\n"
        "  volatile int zero = 0;\n"
        "  alignas(64) int v[64];\n"
        "  for (int i = 0; i < 64; ++i) v[i] = zero + i * count;\n"
        "  int sum = 0;\n"
        "  for (int i = 0; i < 64; ++i) sum += v[i] * v[i];\n"
        "  return sum == 85344 ? 0 : 1;\n"
        "}\n"
    )
    run(compiler(), "-O3", flag, "-mprefer-vector-width=512", source, "-o", program)
    command = [emulator(), "-cpu", processor, str(program)]
    result = subprocess.run(command, check=False, capture_output=True)
    assert (result.returncode == 0) == runs
