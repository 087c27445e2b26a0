"""The CPU engine when memory runs out: a named error, and everything goes on as before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.instruction_sets import built_instruction_sets

pytestmark = [
    pytest.mark.skipif(not built_instruction_sets(), reason="the engine was not built"),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc"),
]

PRELUDE = """
import resource
import numpy as np
from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.errors import EngineMemoryError
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.random_models import random_integer_model

def model(hidden):
    rng = np.random.default_rng(1)
    return random_integer_model(rng, hidden=hidden, bidirectional=False, sparsity=0.5)

def limit(megabytes):
    pages = int(open("/proc/self/statm").read().split()[0])
    most = pages * resource.getpagesize() + int(megabytes * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

def unlimited():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def attempt(action):
    try:
        return action()
    except EngineMemoryError as error:
        return str(error)

windows = np.random.default_rng(2).integers(0, 256, (9, 494)).astype(np.uint8)
small, large = model(8), model(500)
expected, expected_large = (ReferenceExecutor(each).run(windows) for each in (small, large))
engine = CpuExecutor(small, threads=2)
session = engine.stream()
first = session.push(windows[:4])
"""

LOADING = """
def load(threads):
    return CpuExecutor(large, threads=threads)

messages = set()
for megabytes in (0.25, 1, 2, 4, 8, 12):
    for threads in (1, 2):
        limit(megabytes)
        found = attempt(lambda: load(threads))
        unlimited()
        if isinstance(found, str):
            messages.add(found[:20])
        else:
            assert np.array_equal(found.run(windows), expected_large)
        del found
        assert np.array_equal(engine.run(windows), expected)
# One thread: the packed weights find no room. Two: the second has no room for its stack.
assert messages == {"not enough memory to", "the system starts no"}, messages
assert np.array_equal(load(2).run(windows), expected_large)
assert np.array_equal(session.push(windows[4:]), expected[4:])
"""

RUNNING = """
long = np.zeros((200_000, 494), np.uint8)
failed = 0
for megabytes in (1, 10, 40, 45, 50, 60):  # the logits alone take 46 MB
    limit(megabytes)
    found = [attempt(lambda: engine.run(long)), attempt(lambda: session.push(long))]
    unlimited()
    for each in found:
        if isinstance(each, str):
            assert "not enough memory to compute 200000 frames" in each, each
            failed += 1
    if not isinstance(found[1], str):
        session = engine.stream()
        session.push(windows[:4])
    assert np.array_equal(engine.run(windows), expected)
assert failed >= 4, failed
assert np.array_equal(session.push(windows[4:]), expected[4:])
"""


@pytest.mark.parametrize("script", [LOADING, RUNNING], ids=["loading", "running"])
def test_memory_runs_out(script: str, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script],
        cwd=repository,
        # What is freed goes back to the system at once, else it would hide the limit.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
