"""Logits of speech, executor beside executor: how many differ?

    python -m tests.conformance.speech FOLDER --model english-small --limit 200

compares every executor of this machine with the reference on the recordings below FOLDER (without
one: on pieces of the bundled recordings) and prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsespeech.audio.finding import find_recordings
from sparsespeech.audio.reading import read_audio
from sparsespeech.audio.resampling import resample
from sparsespeech.benchmarks.speech_input import FrontEnd, bundled_recordings
from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model
from tests.instruction_sets import built_instruction_sets

RATE = 16_000
CHUNK = 16  # windows of 320 ms
BATCH = 16  # utterances


def synthesised_utterances(count: int) -> Iterator[NDArray[np.float32]]:
    """The bundled recordings, faster and slower, louder and softer, with noise."""
    spoken = bundled_recordings()
    rng = np.random.default_rng(1)
    for number in range(count):
        samples = resample(spoken[number % len(spoken)], int(RATE * rng.uniform(0.8, 1.25)), RATE)
        noise = rng.normal(0.0, 10 ** rng.uniform(-5, -2), samples.size)
        changed = samples * 10 ** rng.uniform(-1.0, 0.0) + noise
        yield np.clip(changed, -1.0, 1.0).astype(np.float32)


def recorded_utterances(folder: Path, count: int) -> Iterator[NDArray[np.float32]]:
    """The first recordings below ``folder``, in the order of their paths."""
    for path in find_recordings([folder])[:count]:
        yield read_audio(path, RATE).samples


def count_differences(
    model: IntegerModel, utterances: Iterable[NDArray[np.float32]]
) -> dict[str, Any]:
    """Logits that differ from the reference's, for each executor and way of running it."""
    front_end = FrontEnd.of_model(model)
    windows = [front_end.windows(samples) for samples in utterances]
    reference = ReferenceExecutor(model)
    expected = [reference.run(each) for each in windows]
    ways = {
        f"{name} {way.__name__}": partial(way, CpuExecutor(model, instruction_set=name))
        for name in built_instruction_sets()
        for way in (_singly, _in_batches, *([] if model.graph.bidirectional else [_in_chunks]))
    }
    return {
        "utterances": len(windows),
        "frames": sum(map(len, windows)),
        "logits": sum(logits.size for logits in expected),
        "differing": {
            name: sum(
                int(np.count_nonzero(found != logits))
                if found.shape == logits.shape
                else logits.size
                for found, logits in zip(way(windows), expected, strict=True)
            )
            for name, way in ways.items()
        },
    }


def _singly(executor: CpuExecutor, windows: list[Any]) -> list[Any]:
    return [executor.run(each) for each in windows]


def _in_batches(executor: CpuExecutor, windows: list[Any]) -> list[Any]:
    batches = [windows[start : start + BATCH] for start in range(0, len(windows), BATCH)]
    return [logits for batch in batches for logits in executor.run_batch(batch)]


def _in_chunks(executor: CpuExecutor, windows: list[Any]) -> list[Any]:
    """All utterances at once, chunk by chunk, until the longest one ends."""
    sessions = [executor.stream() for _ in windows]
    steps = [
        executor.step_sessions(sessions, [each[start : start + CHUNK] for each in windows])
        for start in range(0, max(map(len, windows)), CHUNK)
    ]
    return [np.concatenate(parts) for parts in zip(*steps, strict=True)]


def main() -> None:
    """Print what :func:`count_differences` finds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--model", default="english-small")
    parser.add_argument("--limit", type=int, default=200)
    options = parser.parse_args()
    utterances = (
        recorded_utterances(options.folder, options.limit)
        if options.folder is not None
        else synthesised_utterances(options.limit)
    )
    model = read_model(resolve_model(options.model))
    print(json.dumps({"model": options.model, **count_differences(model, utterances)}))


if __name__ == "__main__":
    main()
