"""An hour of sound through one stream: memory stays where it was.

Times are not judged here, because other programs may compute at the same time;
``benchmarks.long_stream`` measures them.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from sparsespeech.backend import backend_names, is_built
from sparsespeech.benchmarks.long_stream import (
    MEMORY_FILE,
    LongStreamOptions,
    run_long_stream,
)
from sparsespeech.recogniser import Recogniser
from tests.scripted_backend import babble
from tests.talkative_model import talkative_model

# An accelerator keeps an utterance in a memory of fixed size; an hour does not fit.
BACKENDS = [name for name in backend_names() if is_built(name) and name != "simulator"]
QUICK = LongStreamOptions(seconds=6.0, section_s=2.0, pause_s=0.02)


def test_what_is_measured() -> None:
    result = run_long_stream(Recogniser(talkative_model(), backend="reference"), QUICK)
    rows = result.table("sections")
    assert [row["until_s"] for row in rows] == pytest.approx([1.92, 3.84, 5.76])
    assert set(result.figures) == {
        "step_ms_first", "step_ms_last", "step_p99_ms", "resident_mb_first", "resident_mb_last",
    }  # fmt: skip
    assert all(value > 0 for value in result.figures.values())
    assert result.figures["step_ms_first"] == rows[1]["step_ms"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_python_keeps_nothing_of_the_past(backend: str) -> None:
    """Two minutes, with every object of Python counted."""
    stream = Recogniser(talkative_model(), backend=backend).stream(pause_s=0.02)
    sound = babble(20.0).astype(np.float32)
    kept = []
    tracemalloc.start()
    try:
        for _ in range(6):
            for start in range(0, sound.size, 5_120):
                stream.accept_waveform(sound[start : start + 5_120])
                stream.partial()
            gc.collect()
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    # The silence gate holds 60 s of levels at most; numpy keeps small blocks for the next array.
    assert kept[5] - kept[2] < 20_000
    assert max(kept) - kept[0] < 50_000


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_hour(backend: str, repository: Path) -> None:
    """In a process of its own: the heap of thousands of other tests moves by more than a stream."""
    if not MEMORY_FILE.exists():
        pytest.skip("memory is read from /proc")
    done = subprocess.run(
        [sys.executable, "-m", "tests.hour_of_sound", backend],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    resident = [row["resident_mb"] for row in found["sections"]]
    assert len(resident) == 12
    assert resident[-1] - resident[1] < 0.5
    assert found["grown_mb"] < 5
