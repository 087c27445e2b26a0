"""What the simulated device has besides the contract of all devices: records, exact stamps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.compilation import compile_model
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.errors import AcceleratorError, ProgramFileError, SimulationError
from sparsespeech.simulator.counters import core_counters
from sparsespeech.simulator.device import SimulatedDevice
from sparsespeech.simulator.simulator import Simulator
from tests.compiled_programs import GRID, random_windows, small_program
from tests.conformance.test_executors import MODELS, VECTORS, utterances

VECTOR = next(utterances(VECTORS["r05_lstm_3_cells"]))[0]


def after(program: Program, waves: list[list[int]]) -> SimulatedDevice:
    """A device that has run waves of utterances of these lengths."""
    device = SimulatedDevice(program.config)
    device.load(program)
    for wave in waves:
        names = device.begin(len(wave))
        for name, frames in zip(names, wave, strict=True):
            device.push(name, random_windows(name, frames))
            device.finish(name)
    return device


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_registers_are_those_of_the_record(mapping: Mapping) -> None:
    program = small_program(1, mapping=mapping)
    waves = [[3, 5], [4]]
    device = after(program, waves)
    run, counters = device.run_record(), device.counters()
    assert run.waves == ((3, 5), (4,))
    assert counters.cycles == run.cycles == Simulator(program).timing(waves).cycles
    working = {entry.core: entry for entry in core_counters(run)}
    assert 0 < len(working) < GRID.cores  # some cores have no work
    for core in counters.cores:
        if core.core in working:
            assert core == working[core.core]
        else:
            assert (core.idle, core.total) == (run.cycles, run.cycles)
    latencies = [cycles for wave in run.latencies for cycles in wave]
    assert [times.latency for times in counters.utterances] == latencies
    frames = [cycles for times in counters.utterances for cycles in times.frame_latencies]
    assert frames == [run.frame_latencies[key] for key in sorted(run.frame_latencies)]


def test_first_flit_is_put_on_in_cycle_zero() -> None:
    assert after(small_program(1), [[3]]).counters().utterances[0].sent[0] == 0


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_a_frame_that_the_host_sends_twice_counts_from_the_first(mapping: Mapping) -> None:
    """Without a linear layer the host itself turns the frames round, for the other direction."""
    program = compile_model(MODELS["r05_lstm_3_cells"], "tiny", mapping=mapping)
    device = SimulatedDevice(program.config)
    device.load(program)
    (name,) = device.begin()
    device.push(name, VECTOR[:5])
    device.finish(name)
    cycles: dict[int, list[int]] = {}
    for frame, cycle in device.run_record().host_frames:
        cycles.setdefault(frame.index, []).append(cycle)
    (times,) = device.counters().utterances
    assert times.sent == tuple(min(cycles[index]) for index in range(5))
    assert any(len(set(entries)) > 1 for entries in cycles.values())
    assert times.frame_latencies == tuple(
        device.run_record().frame_latencies[0, 0, index] for index in range(5)
    )


def test_a_record_is_made_once() -> None:
    device = after(small_program(1), [[3]])
    assert device.run_record() is device.run_record()
    (name,) = device.begin()
    with pytest.raises(AcceleratorError, match=f"utterance {name} is in flight; finish it"):
        device.run_record()
    device.push(name, random_windows(0, 2))
    device.finish(name)
    assert device.run_record().waves == ((3,), (2,))
    device.reset()
    with pytest.raises(SimulationError, match="at least one wave"):
        device.run_record()


def test_images_are_read_when_the_program_is_loaded() -> None:
    program = small_program(1)
    damaged = replace(program, words=tuple(np.zeros_like(image) for image in program.words))
    device = after(program, [[2]])
    with pytest.raises(ProgramFileError):
        device.load(damaged)
    assert device.counters().cycles == after(program, [[2]]).counters().cycles


def test_messages_say_what_to_do() -> None:
    with pytest.raises(AcceleratorError, match="no program is loaded; load one first"):
        SimulatedDevice(GRID).begin()
    device = after(small_program(1), [])
    device.close()
    with pytest.raises(AcceleratorError, match="is closed; make a new one"):
        device.begin()
