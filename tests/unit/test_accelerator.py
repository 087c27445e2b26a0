"""The driver: device and host layers together, and what it refuses."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import sparsespeech as ss
from sparsespeech.accelerator import Accelerator, device_names, host_model, load_device
from sparsespeech.accelerator_config import StageDepths
from sparsespeech.errors import (
    AcceleratorConfigError,
    BackendError,
    InputWindowsError,
    ProgramFileError,
    SimulationError,
)
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.compiled_programs import GRID, random_windows, small_program


def accelerator(**choices: object) -> Accelerator:
    return Accelerator(small_program(1), host_backend="reference", **choices)  # type: ignore[arg-type] # forwarded


def test_one_utterance() -> None:
    machine = accelerator()
    windows = random_windows(0, 7)
    result = machine.run(windows)
    assert np.array_equal(result.logits[0], ReferenceExecutor(machine.program.model).run(windows))
    assert result.outputs[0].shape == (7, 16)
    assert result.latency_cycles == (result.timing.latencies[0][0],)
    assert result.latency_s[0] == pytest.approx(result.latency_cycles[0] / 100e6)  # 100 MHz


def test_several_utterances_in_waves() -> None:
    machine = accelerator()
    utterances = [random_windows(n, frames) for n, frames in enumerate((3, 8, 1))]
    told: list[int] = []
    result = machine.run(utterances, in_flight=2, progress=told.append)
    assert told == [2, 3]
    assert result.timing.waves == ((3, 8), (1,))
    assert [len(logits) for logits in result.logits] == [3, 8, 1]
    reference = ReferenceExecutor(machine.program.model)
    for windows, logits in zip(utterances, result.logits, strict=True):
        assert np.array_equal(logits, reference.run(windows))


def test_each_run_begins_at_cycle_zero() -> None:
    machine = accelerator()
    windows = random_windows(0, 4)
    first, second = machine.run(windows), machine.run(windows)
    assert first.timing.cycles == second.timing.cycles
    assert first.timing.waves == second.timing.waves == ((4,),)


def test_waves_share_the_machine() -> None:
    """Two waves take longer than one, and less than twice as long: they overlap."""
    machine = accelerator()
    windows = random_windows(0, 8)
    one = machine.run(windows).timing.cycles
    two = machine.run([windows, windows]).timing.cycles
    assert one < two < 2 * one


def test_device_methods() -> None:
    device = load_device("simulator", small_program(1))
    device.push([random_windows(0, 2)])
    device.push([random_windows(1, 3)])
    assert [len(part) for part in device.read()] == [2]
    assert device.counters().waves == ((2,), (3,))
    device.reset()
    with pytest.raises(SimulationError, match="no results are waiting"):
        device.read()


def test_layers_of_the_host() -> None:
    program = small_program(1)
    model = host_model(program)
    assert [layer.name for layer in model.layers] == ["layer4", "layer5"]
    assert [layer.name for layer in model.graph.layers] == ["layer4", "layer5"]


def test_recurrent_layer_on_the_host() -> None:
    program = small_program(5, hidden=20, host_layers=("layer3", "layer4", "layer5"))
    windows = random_windows(1, 6)
    result = Accelerator(program, host_backend="reference").run(windows)
    assert np.array_equal(result.logits[0], ReferenceExecutor(program.model).run(windows))


def test_public_names(tmp_path: Path) -> None:
    program = small_program(1)
    assert isinstance(program, ss.Program)
    assert program.metrics().cores == GRID.cores
    program.save(tmp_path / "a.program")
    windows = random_windows(0, 3)
    loaded = ss.Accelerator(tmp_path / "a.program", host_backend="reference").run(windows)
    assert np.array_equal(loaded.logits[0], accelerator().run(windows).logits[0])


def test_no_utterance() -> None:
    with pytest.raises(SimulationError, match="no utterance was given"):
        accelerator().run([])


def test_no_frames() -> None:
    with pytest.raises(SimulationError, match="0 frames"):
        accelerator().run([random_windows(0, 2), random_windows(0, 0)])


def test_none_in_flight() -> None:
    with pytest.raises(SimulationError, match="0 utterances in flight"):
        accelerator().run(random_windows(0, 2), in_flight=0)


def test_more_in_flight_than_contexts() -> None:
    utterances = [random_windows(n, 2) for n in range(5)]
    with pytest.raises(SimulationError, match="5 utterances, expected 1 to 4"):
        accelerator().run(utterances, in_flight=5)


def test_utterance_that_the_sequence_memory_cannot_hold() -> None:
    frames = min(memory.frames for memory in small_program(1).sequences)
    windows = random_windows(0, frames + 1)
    with pytest.raises(SimulationError, match=f"{frames + 1} frames, .* holds {frames}"):
        accelerator().run(windows)
    assert len(accelerator().run(windows[1:]).logits[0]) == frames


def test_other_windows() -> None:
    with pytest.raises(InputWindowsError, match=r"uint8\[T, 6\], got int64"):
        accelerator().run(np.zeros((2, 6), dtype=np.int64))


def test_unknown_device() -> None:
    with pytest.raises(BackendError, match="'rtl' does not exist in this version; .*simulator"):
        accelerator(backend="rtl")
    assert device_names() == ("simulator",)


def test_host_layers_run_on_no_accelerator() -> None:
    with pytest.raises(BackendError, match="cannot run on 'simulator'; choose cpu or reference"):
        Accelerator(small_program(1), host_backend="simulator")


def test_damaged_program(tmp_path: Path) -> None:
    path = tmp_path / "a.program"
    small_program(1).save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProgramFileError, match=r"a\.program: "):
        Accelerator(path)


def test_program_for_another_accelerator(tmp_path: Path) -> None:
    path = tmp_path / "a.program"
    small_program(1).save(path)
    other = replace(GRID, contexts=2)
    for program in (path, small_program(1)):
        assert Accelerator(program, config=GRID).program.config == GRID
        with pytest.raises(ProgramFileError, match=r"contexts = 4, .* with 2; .*\(rule P10\)"):
            Accelerator(program, config=other)


@pytest.mark.parametrize("stage", [entry.name for entry in fields(StageDepths)])
def test_stages_have_registers(stage: str) -> None:
    with pytest.raises(AcceleratorConfigError, match=rf"stages\.{stage} = 0, expected 1 to "):
        replace(GRID, stages=replace(GRID.stages, **{stage: 0}))
    assert replace(GRID, stages=replace(GRID.stages, **{stage: 1})).stages
