"""Whether a stream stays as fast and as small as it began: hours of sound through one stream.

Axes: s sections, k chunks of a section, n samples of a chunk.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sparsespeech.benchmarks.measurement import milliseconds, quantile
from sparsespeech.benchmarks.result import BenchResult
from sparsespeech.benchmarks.speech_input import bundled_speech
from sparsespeech.recogniser import Recogniser

MEMORY_FILE = Path("/proc/self/statm")
_SPEECH_SECONDS = 20.0  # of the bundled recordings, again and again


@dataclass(frozen=True)
class LongStreamOptions:
    """``pause_s``: silence that ends an utterance; without it the transcript itself grows."""

    seconds: float = 3600.0
    chunk_ms: int = 320
    section_s: float = 300.0  # a row of the table
    pause_s: float | None = 0.5
    on_progress: Callable[[str], None] = lambda what: None


def run_long_stream(recogniser: Recogniser, options: LongStreamOptions) -> BenchResult:
    """Time of a step (a chunk and its partial text) and resident memory, section by section.

    A figure ending in ``_first`` belongs to the second section (the first one fills caches),
    ``_last`` to the last. Raises UnsupportedLayerError for a model that reads backwards.
    """
    result = BenchResult(
        "long_stream",
        {
            "seconds": options.seconds,
            "chunk_ms": options.chunk_ms,
            "pause_s": options.pause_s,
            "backend": recogniser.backend,
        },
    )
    rate = recogniser.features.sample_rate_hz
    speech = bundled_speech(_SPEECH_SECONDS)
    chunk = rate * options.chunk_ms // 1000
    stream = recogniser.stream(pause_s=options.pause_s)
    sections = max(2, round(options.seconds / options.section_s))
    chunks_of_section = max(1, round(options.section_s * rate / chunk))
    # Every page of it is touched now, so that what is measured takes no memory from here on.
    seconds = np.full((sections, chunks_of_section), np.nan)  # [s, k]
    for section in range(sections):
        options.on_progress(f"section {section + 1} of {sections}")
        for step in range(chunks_of_section):
            samples = _samples(speech, (section * chunks_of_section + step) * chunk, chunk)
            start = time.perf_counter()
            stream.accept_waveform(samples)
            stream.partial()
            seconds[section, step] = time.perf_counter() - start
        steps = seconds[section].tolist()
        result.add_rows(
            "sections",
            {
                "until_s": stream.partial().duration_s,
                "step_ms": milliseconds(quantile(steps, 0.5)),
                "step_p99_ms": milliseconds(quantile(steps, 0.99)),
                "resident_mb": resident_bytes() / 1e6,
            },
        )
    stream.finish()
    rows = result.table("sections")
    for name in ("step_ms", "resident_mb"):
        result.figures[f"{name}_first"], result.figures[f"{name}_last"] = (
            rows[1][name],
            rows[-1][name],
        )
    result.figures["step_p99_ms"] = milliseconds(quantile(seconds.ravel().tolist(), 0.99))
    return result


def resident_bytes() -> int:
    """Memory of this process that is in use now; 0 where the system does not say."""
    gc.collect()
    if not MEMORY_FILE.exists():
        return 0
    return int(MEMORY_FILE.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _samples(speech: NDArray[np.float32], start: int, count: int) -> NDArray[np.float32]:
    """``count`` samples of endless speech from ``start`` on."""
    return speech.take(np.arange(start, start + count), mode="wrap")
