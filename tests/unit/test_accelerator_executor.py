"""Whole models on the simulated accelerator: the contract of executors, and models it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from sparsespeech.accelerator_executor import SimulatorExecutor
from sparsespeech.backend import load_backend
from sparsespeech.errors import (
    AcceleratorConfigError,
    CompileError,
    InputWindowsError,
    SessionFinishedError,
    SimulationError,
    UnsupportedLayerError,
)
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.compiled_programs import random_windows, small_model, small_program


def executor(*, bidirectional: bool = True) -> SimulatorExecutor:
    program = small_program(2, bidirectional=bidirectional)
    return SimulatorExecutor(program.model, program=program)


def test_model_is_compiled_for_the_default_target() -> None:
    model = small_model(2)
    windows = random_windows(0, 5)
    simulator = load_backend("simulator")(model)
    assert np.array_equal(simulator.run(windows), ReferenceExecutor(model).run(windows))


def test_logits_and_times() -> None:
    simulator = executor()
    windows = random_windows(0, 5)
    logits, times = simulator.run_timed(windows)
    model = small_program(2).model
    assert np.array_equal(logits, ReferenceExecutor(model).run(windows))
    assert [name for name, _ in times] == [layer.name for layer in model.layers]


def test_no_frames_are_no_logits() -> None:
    logits, times = executor().run_timed(random_windows(0, 0))
    assert (logits.shape, logits.dtype) == ((0, 29), np.int64)
    assert len(times) == 5
    with pytest.raises(InputWindowsError, match=r"uint8\[T, 6\]"):
        executor().run(np.zeros((0, 7), dtype=np.uint8))


def test_stream_is_the_whole_utterance() -> None:
    simulator = executor(bidirectional=False)
    windows = random_windows(3, 9)
    session = simulator.stream()
    chunks = [session.push(part) for part in np.split(windows, [1, 1, 6])]
    assert np.array_equal(np.concatenate(chunks), simulator.run(windows))
    session.finish()
    with pytest.raises(SessionFinishedError, match="after finish"):
        session.push(windows)


def test_streams_do_not_influence_each_other() -> None:
    simulator = executor(bidirectional=False)
    one, other = random_windows(3, 6), random_windows(4, 6)
    first, second = simulator.stream(), simulator.stream()
    first.push(one[:3])
    second.push(other)
    assert np.array_equal(first.push(one[3:]), simulator.run(one)[3:])


def test_model_that_reads_backwards_does_not_stream() -> None:
    with pytest.raises(UnsupportedLayerError, match="'layer3' reads the utterance backwards"):
        executor().stream()


def test_utterance_longer_than_the_memories() -> None:
    frames = min(memory.frames for memory in small_program(2).sequences)
    with pytest.raises(SimulationError, match=f"holds {frames}"):
        executor().run(random_windows(0, frames + 1))


def test_a_network_that_reads_forwards_takes_any_length() -> None:
    program = small_program(2, bidirectional=False)
    windows = random_windows(0, 2 * min(memory.frames for memory in program.sequences))
    expected = ReferenceExecutor(program.model).run(windows)
    simulator = executor(bidirectional=False)
    assert np.array_equal(simulator.run(windows), expected)
    session = simulator.stream()
    chunks = [session.push(part) for part in np.split(windows, [1, 50])]
    assert np.array_equal(np.concatenate(chunks), expected)


def test_unknown_target() -> None:
    with pytest.raises(AcceleratorConfigError, match="'mau' does not exist; targets: mau-strat"):
        SimulatorExecutor(small_model(), target="mau")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"wide": True}, "activations of 16 bit .*wide mode"),
        ({"projection": 4}, "'layer3' projects its outputs"),
        ({"peephole": True}, "'layer3' has peephole weights"),
        ({"merge": "sum"}, "'layer3' sums its directions"),
    ],
)
def test_models_that_no_program_runs(choices: dict[str, object], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        SimulatorExecutor(small_model(**choices))


def test_convolution_is_refused() -> None:
    from tests.random_models import random_integer_model

    model = random_integer_model(np.random.default_rng(0), hidden=8, convolution=True)
    with pytest.raises(CompileError, match="'conv1' is a convolution"):
        SimulatorExecutor(model)
