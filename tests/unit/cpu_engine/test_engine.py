from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import (
    BackendError,
    EngineMemoryError,
    InputWindowsError,
    InstructionSetError,
    SparseSpeechError,
    UnsupportedLayerError,
)
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from tests.random_models import random_integer_model

Windows = Callable[[int], Any]


def test_logits_and_times(executor: CpuExecutor, model: IntegerModel, windows: Windows) -> None:
    given = windows(7)
    logits, times = executor.run_timed(given)
    assert (logits.dtype, logits.shape) == (np.int64, (7, 29))
    assert np.array_equal(logits, ReferenceExecutor(model).run(given))
    assert np.array_equal(executor.run(given), logits)
    assert [name for name, _ in times] == [layer.name for layer in model.layers]
    assert all(seconds >= 0 for _, seconds in times)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"peephole": True},
        {"projection": 9},
        {"projection": 9, "peephole": True, "per_row": True},
        {"bidirectional": False, "projection": 3},
    ],
)
def test_every_kind_of_lstm(engine: str, settings: dict[str, Any], windows: Windows) -> None:
    model = random_integer_model(np.random.default_rng(8), hidden=17, **settings)
    given = windows(6)
    expected = ReferenceExecutor(model).run(given)
    assert np.array_equal(CpuExecutor(model, threads=2).run(given), expected)


def test_facts(executor: CpuExecutor) -> None:
    assert executor.threads == 2
    assert executor.packed_bytes > 0
    assert executor.matrices
    assert executor.instruction_set in ("scalar", "avx2", "avx512", "amx")


def test_instruction_set_can_be_chosen(
    engine: str, model: IntegerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert CpuExecutor(model, threads=1, instruction_set="scalar").instruction_set == "scalar"
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "scalar")
    assert CpuExecutor(model, threads=1).instruction_set == "scalar"
    monkeypatch.setenv("SPARSESPEECH_CPU_ISA", "mmx")
    with pytest.raises(InstructionSetError, match="SPARSESPEECH_CPU_ISA is 'mmx'"):
        CpuExecutor(model, threads=1)


def test_small_model_takes_one_thread(engine: str, model: IntegerModel) -> None:
    assert CpuExecutor(model).threads == 1
    assert CpuExecutor(model, threads=3).threads == 3


def test_threads_are_checked(engine: str, model: IntegerModel) -> None:
    with pytest.raises(BackendError, match="threads is 0"):
        CpuExecutor(model, threads=0)


# ---- input -----------------------------------------------------------------------------------


def test_windows_of_any_memory_layout(executor: CpuExecutor, windows: Windows) -> None:
    given = windows(8)
    expected = executor.run(given)
    assert np.array_equal(executor.run(np.asfortranarray(given)), expected)
    wide = np.zeros((16, 600), np.uint8)
    wide[::2, 50:544] = given
    assert np.array_equal(executor.run(wide[::2, 50:544]), expected)
    given.setflags(write=False)
    assert np.array_equal(executor.run(given), expected)


@pytest.mark.parametrize(
    ("wrong", "found"),
    [
        (np.zeros((3, 494), np.int8), r"int8\[3, 494\]"),
        (np.zeros((3, 494), np.float32), r"float32\[3, 494\]"),
        (np.zeros((3, 493), np.uint8), r"uint8\[3, 493\]"),
        (np.zeros(494, np.uint8), r"uint8\[494\]"),
        (np.zeros((1, 3, 494), np.uint8), r"uint8\[1, 3, 494\]"),
    ],
)
def test_wrong_windows(
    executor: CpuExecutor, windows: Windows, wrong: np.ndarray, found: str
) -> None:
    message = rf"feature windows are {found}, expected uint8\[frames, 494\]"
    good = windows(2)
    before = executor.run(good)
    session = executor.stream()
    for call in (
        lambda: executor.run(wrong),
        lambda: executor.run_batch([good, wrong]),
        lambda: session.push(wrong),
    ):
        with pytest.raises(InputWindowsError, match=message):
            call()
    assert np.array_equal(executor.run(good), before)
    assert np.array_equal(session.push(good), before)


# ---- batches ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[], [0], [3], [5, 0, 1, 12, 5], [1] * 70])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_batches_are_singles(
    engine: str, windows: Windows, lengths: list[int], bidirectional: bool
) -> None:
    model = random_integer_model(np.random.default_rng(9), hidden=9, bidirectional=bidirectional)
    executor = CpuExecutor(model, threads=2)
    batch = [windows(length) for length in lengths]
    for logits, given in zip(executor.run_batch(batch), batch, strict=True):
        assert np.array_equal(logits, executor.run(given))
        assert logits.shape == (len(given), 29)


def test_calls_from_many_threads(executor: CpuExecutor, windows: Windows) -> None:
    given = [windows(frames) for frames in (3, 9, 1, 6)]
    expected = [executor.run(each) for each in given]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            if not np.array_equal(executor.run(given[number]), expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# ---- failures --------------------------------------------------------------------------------


def test_no_memory_to_load(engine: str, model: IntegerModel) -> None:
    if engine != "fake":
        pytest.skip("tests/conformance/test_memory.py takes the memory away")
    with pytest.raises(EngineMemoryError, match=r"pack the [\d,]+ nonzero weights .* MB") as caught:
        CpuExecutor(model, threads=1, options={"fail": MemoryError("no")})
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, SparseSpeechError)


def test_no_threads_to_start(engine: str, model: IntegerModel) -> None:
    if engine != "fake":
        pytest.skip("tests/conformance/test_memory.py takes the memory away")
    error = RuntimeError("Resource temporarily unavailable")
    with pytest.raises(EngineMemoryError, match=r"no 3 threads \(Resource temp.* --threads"):
        CpuExecutor(model, threads=3, options={"fail": error})


def test_model_that_the_packed_forms_cannot_hold(engine: str, model: IntegerModel) -> None:
    if engine != "fake":
        pytest.skip("such a model takes gigabytes")
    with pytest.raises(UnsupportedLayerError, match="cannot hold the model: too wide; use"):
        CpuExecutor(model, threads=1, options={"fail": ValueError("too wide")})


def test_no_memory_to_run(engine: str, executor: CpuExecutor, windows: Windows) -> None:
    if engine != "fake":
        pytest.skip("needs a failing engine")
    given = windows(4)
    expected = executor.run(given)
    session = executor.stream()
    session.push(given[:1])
    for call in (lambda: executor.run(given), lambda: session.push(given[1:])):
        executor._engine.fail = MemoryError()
        with pytest.raises(EngineMemoryError, match="not enough memory to compute [34] frames"):
            call()
    assert np.array_equal(executor.run(given), expected)
    assert np.array_equal(session.push(given[1:]), expected[1:])


FORK = """
import os, sys
import numpy as np
from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import BackendError
from tests.random_models import random_integer_model
executor = CpuExecutor(random_integer_model(np.random.default_rng(1), hidden=8), threads=2)
windows = np.zeros((3, 494), np.uint8)
child = os.fork()
if child == 0:
    try:
        executor.run(windows)
    except BackendError as error:
        os._exit(0 if "made before a fork" in str(error) else 3)
    os._exit(4)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
executor.run(windows)
sys.exit(status)
"""


def test_executor_in_a_forked_process(engine: str, repository: Path) -> None:
    if engine != "native":
        pytest.skip("the fake has no threads")
    done = subprocess.run([sys.executable, "-c", FORK], cwd=repository, timeout=120, check=False)
    assert done.returncode == 0
