"""The CPU engine on random graphs: the integers of the reference, however they are computed.

On every instruction set of this machine, with any number of threads, in batches, in chunks, and in
chunks of many sessions at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sparsespeech.cpu_engine.engine import CpuExecutor
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Layer, Linear, Lstm, Output
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.validate import validate_model
from tests.instruction_sets import built_instruction_sets
from tests.random_models import random_model_of_graph

INSTRUCTION_SETS = built_instruction_sets()
if not INSTRUCTION_SETS:
    pytest.skip("the engine was not built", allow_module_level=True)

FEATURES = MfccConfig(coefficients=13, filters=26, context=2)  # 65 inputs
# Around the widths of registers and tiles, where kernels have their edges.
SIZES = st.one_of(st.integers(1, 70), st.sampled_from([15, 16, 17, 31, 32, 33, 63, 64, 65, 129]))
FRAMES = st.one_of(st.integers(0, 20), st.sampled_from([63, 64, 65, 129]))
# More threads than processors wait for each other: they get few frames, and a test of their own.
EXECUTIONS = st.tuples(st.sampled_from(INSTRUCTION_SETS), st.integers(1, 2))


@st.composite
def graphs(draw: st.DrawFn, *, bidirectional: bool | None = None) -> Graph:
    """Up to four layers before the output layer, in any order."""
    layers: list[Layer] = []
    width = FEATURES.inputs
    for number in range(draw(st.integers(0, 4))):
        name, size = f"layer{number}", draw(SIZES)
        if draw(st.booleans()):
            both = draw(st.booleans()) if bidirectional is None else bidirectional
            projection = draw(st.none() | st.integers(1, 40))
            layers.append(Lstm(name, width, size, both, projection, draw(st.booleans())))
        else:
            layers.append(Linear(name, width, size))
        width = layers[-1].outputs
    return Graph((*layers, Output("output", width, 29)))


@st.composite
def models(draw: st.DrawFn, *, bidirectional: bool | None = None) -> IntegerModel:
    """Weights of any density; some matrices are empty or full."""
    return random_model_of_graph(
        np.random.default_rng(draw(st.integers(0, 2**32))),
        draw(graphs(bidirectional=bidirectional)),
        FEATURES,
        sparsity=draw(st.sampled_from([0.0, 0.3, 0.8, 0.96, 1.0])),
        per_row=draw(st.booleans()),
    )


def windows_of(frames: int, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, FEATURES.inputs)).astype(np.uint8)


def executor_of(model: IntegerModel, execution: tuple[str, int]) -> CpuExecutor:
    instruction_set, threads = execution
    return CpuExecutor(model, instruction_set=instruction_set, threads=threads)


def assert_same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64


# ---- what holds for any model -----------------------------------------------------------------


def every_instruction_set(model: IntegerModel, frames: int, threads: int) -> None:
    validate_model(model)  # else the engine may assume what does not hold
    windows = windows_of(frames)
    expected = ReferenceExecutor(model).run(windows)
    for name in INSTRUCTION_SETS:
        assert_same(executor_of(model, (name, threads)).run(windows), expected)


def every_number_of_threads(model: IntegerModel, frames: int, name: str) -> None:
    windows = windows_of(frames)
    logits = [executor_of(model, (name, threads)).run(windows) for threads in (1, 2, 3, 4)]
    for other in logits[1:]:
        assert_same(other, logits[0])


def any_chunking(
    model: IntegerModel, frames: int, cuts: list[int], execution: tuple[str, int]
) -> None:
    executor, windows = executor_of(model, execution), windows_of(frames)
    session = executor.stream()
    chunks = np.split(windows, sorted(min(cut, frames) for cut in cuts))
    assert_same(np.concatenate([session.push(chunk) for chunk in chunks]), executor.run(windows))


def batches_equal_singles(
    model: IntegerModel, lengths: list[int], execution: tuple[str, int]
) -> None:
    executor = executor_of(model, execution)
    batch = [windows_of(length, seed) for seed, length in enumerate(lengths)]
    for logits, windows in zip(executor.run_batch(batch), batch, strict=True):
        assert_same(logits, executor.run(windows))


def sessions_step_together(
    model: IntegerModel, steps: list[dict[int, int]], execution: tuple[str, int]
) -> None:
    executor = executor_of(model, execution)
    spoken = [windows_of(sum(step.get(n, 0) for step in steps), n) for n in range(6)]
    sessions = [executor.stream() for _ in spoken]
    heard: list[list[NDArray[Any]]] = [[] for _ in spoken]
    for step in steps:
        chunks = [
            spoken[n][sessions[n].frames : sessions[n].frames + size] for n, size in step.items()
        ]
        logits = executor.step_sessions([sessions[n] for n in step], chunks)
        for n, part in zip(step, logits, strict=True):
            heard[n].append(part)
    for parts, windows in zip(heard, spoken, strict=True):
        if parts:
            assert_same(np.concatenate(parts), executor.run(windows))


# Strategies of the arguments, and how many examples the fast tests draw.
PROPERTIES = {
    every_instruction_set: (
        {"model": models(), "frames": FRAMES, "threads": st.integers(1, 2)},
        60,
    ),
    every_number_of_threads: (
        {
            "model": models(),
            "frames": st.integers(0, 9),
            "name": st.sampled_from(INSTRUCTION_SETS),
        },
        15,
    ),
    any_chunking: (
        {
            "model": models(bidirectional=False),
            "frames": FRAMES,
            "cuts": st.lists(st.integers(0, 130), max_size=10),
            "execution": EXECUTIONS,
        },
        20,
    ),
    batches_equal_singles: (
        {
            "model": models(),
            "lengths": st.lists(st.integers(0, 12), max_size=9)
            | st.just([3] * 65)
            | st.just([70, 0, 1]),
            "execution": EXECUTIONS,
        },
        20,
    ),
    sessions_step_together: (
        {
            "model": models(bidirectional=False),
            "steps": st.lists(  # in each step: the chunks of some of the sessions
                st.dictionaries(st.integers(0, 5), st.integers(0, 9), max_size=6), max_size=6
            ),
            "execution": EXECUTIONS,
        },
        25,
    ),
}


@pytest.mark.parametrize("check", PROPERTIES)
def test_property(check: Callable[..., None]) -> None:
    arguments, examples = PROPERTIES[check]
    settings(max_examples=examples)(given(**arguments)(check))()


@pytest.mark.slow
@pytest.mark.parametrize("check", PROPERTIES)
def test_property_at_length(check: Callable[..., None]) -> None:
    arguments, examples = PROPERTIES[check]
    settings(max_examples=20 * examples)(given(**arguments)(check))()
