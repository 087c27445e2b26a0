"""The driver: device and host layers together, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import sparsespeech as ss
from sparsespeech.accelerator import Accelerator, host_model
from sparsespeech.accelerator_config import StageDepths
from sparsespeech.accelerator_device import device_names
from sparsespeech.errors import (
    AcceleratorConfigError,
    AcceleratorError,
    AcceleratorFullError,
    BackendError,
    InputWindowsError,
    ProgramFileError,
)
from sparsespeech.features.context_window import context_windows, quantize_frames
from sparsespeech.features.mfcc import MfccConfig, extract_mfcc
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.simulator.device import SimulatedDevice
from tests.compiled_programs import GRID, random_windows, small_program
from tests.scripted_backend import babble


def accelerator(**choices: Any) -> Accelerator:
    return Accelerator(small_program(1), host_backend="reference", **choices)


def test_one_utterance() -> None:
    machine = accelerator()
    windows = random_windows(0, 7)
    result = machine.run(windows)
    assert np.array_equal(result.logits[0], ReferenceExecutor(machine.program.model).run(windows))
    assert result.outputs[0].shape == (7, 16)
    assert result.latency_cycles == (result.counters.utterances[0].latency,)
    assert result.latency_s[0] == pytest.approx(result.latency_cycles[0] / 100e6)  # 100 MHz


def test_several_utterances_in_waves() -> None:
    device = SimulatedDevice(GRID)
    machine = accelerator(backend=device)
    utterances = [random_windows(n, frames) for n, frames in enumerate((3, 8, 1))]
    told: list[int] = []
    result = machine.run(utterances, in_flight=2, progress=told.append)
    assert told == [2, 3]
    assert device.run_record().waves == ((3, 8), (1,))
    assert [len(logits) for logits in result.logits] == [3, 8, 1]
    reference = ReferenceExecutor(machine.program.model)
    for windows, logits in zip(utterances, result.logits, strict=True):
        assert np.array_equal(logits, reference.run(windows))


def test_each_run_begins_at_cycle_zero() -> None:
    machine = accelerator()
    windows = random_windows(0, 4)
    first, second = machine.run(windows), machine.run(windows)
    assert first.counters.cycles == second.counters.cycles
    assert first.latency_cycles == second.latency_cycles


def test_waves_share_the_machine() -> None:
    """Two waves take longer than one, and less than twice as long: they overlap."""
    machine = accelerator()
    windows = random_windows(0, 8)
    one = machine.run(windows).counters.cycles
    two = machine.run([windows, windows]).counters.cycles
    assert one < two < 2 * one


def test_utterances_in_pieces_take_the_cycles_of_whole_ones() -> None:
    machine = accelerator()
    windows = random_windows(0, 9)
    whole = machine.run(windows)
    machine.reset()
    (name,) = machine.begin()
    for part in np.split(windows, [1, 4, 8]):
        machine.push(name, part)
        assert machine.read() == []
    machine.finish(name)
    (found,) = machine.read()
    assert (found.utterance, found.first, found.last) == (name, 0, True)
    assert np.array_equal(found.logits, whole.logits[0])
    assert [entry.latency for entry in machine.counters().utterances] == [whole.latency_cycles[0]]


def test_a_refused_utterance_leaves_nothing_behind() -> None:
    machine = accelerator()
    windows = random_windows(0, 3)
    with pytest.raises(InputWindowsError):
        machine.run([windows, windows[:, 1:]], in_flight=2)
    assert machine.read() == []
    (name,) = machine.begin()  # nothing is in flight any more
    machine.push(name, windows)
    machine.finish(name)
    assert len(machine.read()[0].logits) == 3


def test_another_program_is_loaded(tmp_path: Path) -> None:
    machine = accelerator()
    machine.begin()
    small_program(3).save(tmp_path / "b.program")
    windows = random_windows(0, 4)
    for program in (small_program(3), tmp_path / "b.program"):
        machine.load(program)
        expected = ReferenceExecutor(small_program(3).model).run(windows)
        assert np.array_equal(machine.run(windows).logits[0], expected)
    other = replace(small_program(2), config=replace(GRID, contexts=2))
    with pytest.raises(ProgramFileError, match=r"contexts = 2, .* with 4; .*\(rule P10\)"):
        machine.load(other)
    other.save(tmp_path / "c.program")
    with pytest.raises(ProgramFileError, match=r"c\.program: .*\(rule P10\)"):
        machine.load(tmp_path / "c.program")
    assert np.array_equal(machine.run(windows).logits[0], expected)


def test_windows_are_those_of_the_model(tmp_path: Path) -> None:
    machine = accelerator()
    samples = babble(0.3)
    path = tmp_path / "x.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    windows = machine.windows(samples)
    assert windows.dtype == np.uint8 and windows.shape == (15, 6)
    assert np.array_equal(machine.windows(path), windows)
    features = MfccConfig.from_json(machine.program.model.features)
    frames = quantize_frames(extract_mfcc(samples, features), machine.program.model.input)
    zero = machine.program.model.input.zero_point
    assert np.array_equal(windows, context_windows(frames, features.context, zero))
    assert len(machine.run(windows).logits[0]) == 15


def test_examples_of_the_page(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    small_program(2, bidirectional=False).save("interleaved.program")
    soundfile.write("talk.flac", babble(0.3), 16_000)
    page = (repository / "docs" / "accelerator.md").read_text()
    code = "".join(re.findall(r"```python\n(.*?)```", page.split("## The driver")[1], re.DOTALL))
    names: dict[str, Any] = {"ss": ss, "pieces": [random_windows(n, 3) for n in range(2)]}
    exec(code.replace('"cpu"', '"reference"'), names)
    names["accelerator"].close()
    first, *pieces = capsys.readouterr().out.splitlines()
    assert first.startswith("(15, 29) (")
    assert pieces == ["0 0 (2, 29) False", "0 2 (3, 29) False"]


def test_it_closes_its_device() -> None:
    device = SimulatedDevice(GRID)
    with accelerator(backend=device) as machine:
        machine.run(random_windows(0, 2))
    with pytest.raises(AcceleratorError, match="is closed; make a new one"):
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
    with pytest.raises(AcceleratorError, match="no utterance was given"):
        accelerator().run([])


def test_no_frames() -> None:
    with pytest.raises(AcceleratorError, match="has 0 frames; give at least one"):
        accelerator().run([random_windows(0, 2), random_windows(0, 0)])


def test_none_in_flight() -> None:
    with pytest.raises(AcceleratorError, match="0 utterances in flight"):
        accelerator().run(random_windows(0, 2), in_flight=0)


def test_more_in_flight_than_contexts() -> None:
    utterances = [random_windows(n, 2) for n in range(5)]
    with pytest.raises(AcceleratorFullError, match="5 utterances, expected 1 to 4"):
        accelerator().run(utterances, in_flight=5)


def test_utterance_that_the_sequence_memory_cannot_hold() -> None:
    frames = min(memory.frames for memory in small_program(1).sequences)
    windows = random_windows(0, frames + 1)
    with pytest.raises(AcceleratorFullError, match=f"{frames + 1} frames, .* holds {frames}; sho"):
        accelerator().run(windows)
    assert len(accelerator().run(windows[1:]).logits[0]) == frames


def test_other_windows() -> None:
    with pytest.raises(InputWindowsError, match=r"uint8\[T, 6\], got int64"):
        accelerator().run(np.zeros((2, 6), dtype=np.int64))


@pytest.mark.parametrize("slip", ["talk.flac", None, Path("talk.flac"), ["talk.flac"]])
def test_what_are_no_windows_at_all(slip: Any) -> None:
    message = r"uint8\[T, 6\], got a value of type .*; Accelerator.windows makes them"
    with pytest.raises(InputWindowsError, match=message):
        accelerator().run(slip)


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
