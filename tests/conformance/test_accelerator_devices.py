"""The contract of ``accelerator_device.py``, on every device there is, and on one of this test.

The driver is run on all of them too: it may need nothing that only one of them has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from sparsespeech.accelerator import Accelerator
from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_counters import CoreCounters
from sparsespeech.accelerator_device import Device, Outputs, device_names, load_device
from sparsespeech.compiler.host_window import COUNTERS_OF_CORE, host_window
from sparsespeech.compiler.program import Program
from sparsespeech.errors import (
    AcceleratorError,
    AcceleratorFullError,
    InputWindowsError,
    ProgramFileError,
)
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from tests.compiled_programs import GRID, random_windows, small_program
from tests.reference_device import ReferenceDevice, accelerated_outputs

Make = Callable[[AcceleratorConfig], Device]
DEVICES: dict[str, Make] = {name: partial(load_device, name) for name in device_names()}
DEVICES["reference"] = ReferenceDevice
PROGRAMS: dict[str, Callable[[], Program]] = {
    "both directions": partial(small_program, 1),
    "interleaved": partial(small_program, 1, mapping="interleaved"),
    "forward": partial(small_program, 2, bidirectional=False),
    "LSTM on the host": partial(
        small_program, 5, hidden=20, host_layers=("layer3", "layer4", "layer5")
    ),
}


@pytest.fixture(params=DEVICES)
def make(request: pytest.FixtureRequest) -> Make:
    return DEVICES[request.param]


@pytest.fixture
def device(make: Make) -> Device:
    """With a program that reads in both directions."""
    return with_program(make, small_program(1))


@pytest.fixture
def forward(make: Make) -> Device:
    """With a program that reads forwards only."""
    return with_program(make, PROGRAMS["forward"]())


def with_program(make: Make, program: Program) -> Device:
    made = make(program.config)
    made.load(program)
    return made


def pieces(found: list[Outputs]) -> list[tuple[int, int, int, bool]]:
    return [(part.utterance, part.first, len(part.values), part.last) for part in found]


# ---- programs ----------------------------------------------------------------------------------


def test_nothing_runs_without_a_program(make: Make) -> None:
    device = make(GRID)
    assert device.config == GRID
    for use in (device.reset, device.begin, device.read, device.counters):
        with pytest.raises(AcceleratorError):
            use()
    with pytest.raises(AcceleratorError):
        device.push(0, random_windows(0, 1))


def test_program_for_another_configuration(device: Device) -> None:
    other = replace(small_program(1), config=replace(GRID, chain_fifo=GRID.chain_fifo + 1))
    with pytest.raises(ProgramFileError, match="P10"):
        device.load(other)
    (name,) = device.begin()  # the program before is still there
    device.push(name, random_windows(0, 2))
    device.finish(name)
    assert np.array_equal(
        device.read()[0].values, accelerated_outputs(small_program(1), random_windows(0, 2))
    )


def test_another_program_takes_the_place(device: Device) -> None:
    device.begin()
    device.load(small_program(3))
    (name,) = device.begin()  # nothing of the program before is in flight
    device.push(name, random_windows(0, 4))
    device.finish(name)
    expected = accelerated_outputs(small_program(3), random_windows(0, 4))
    assert np.array_equal(device.read()[0].values, expected)
    assert len(device.counters().utterances) == 1


# ---- results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_outputs_are_those_of_the_reference(make: Make, program: Callable[[], Program]) -> None:
    device = with_program(make, program())
    names = device.begin(3)
    heard = [random_windows(name, frames) for name, frames in zip(names, (4, 7, 1), strict=True)]
    for name, windows in zip(names, heard, strict=True):
        device.push(name, windows)
        device.finish(name)
    found = device.read()
    assert pieces(found) == [(names[0], 0, 4, True), (names[1], 0, 7, True), (names[2], 0, 1, True)]
    for part, windows in zip(found, heard, strict=True):
        assert part.values.dtype == np.uint8
        assert np.array_equal(part.values, accelerated_outputs(program(), windows))
    assert device.read() == []


def test_a_backward_layer_waits_for_the_whole_wave(device: Device) -> None:
    one, two = device.begin(2)
    device.push(one, random_windows(0, 3))
    device.finish(one)
    device.push(two, random_windows(1, 2))
    assert device.read() == []
    device.finish(two)
    assert pieces(device.read()) == [(one, 0, 3, True), (two, 0, 2, True)]


def test_a_forward_network_gives_results_as_frames_come(forward: Device) -> None:
    windows = random_windows(4, 7)
    expected = accelerated_outputs(PROGRAMS["forward"](), windows)
    (name,) = forward.begin()
    found: list[Outputs] = []
    for start, stop, known in ((0, 1, 0), (1, 4, 3), (4, 4, 0), (4, 7, 3)):
        forward.push(name, windows[start:stop])
        parts = forward.read()  # all but the newest, which may be the last
        assert sum(len(part.values) for part in parts) == known
        found += parts
    assert not any(part.last for part in found)
    forward.finish(name)
    found += forward.read()
    assert pieces(found) == [(name, 0, 3, False), (name, 3, 3, False), (name, 6, 1, True)]
    assert np.array_equal(np.concatenate([part.values for part in found]), expected)


def test_utterances_take_turns(forward: Device) -> None:
    """A frame waits for those of the utterances beside it, until these have finished."""
    one, two = forward.begin(2)
    forward.push(one, random_windows(0, 5))
    assert pieces(forward.read()) == [(one, 0, 1, False)]  # then it is the other one's turn
    forward.push(two, random_windows(1, 3))
    assert pieces(forward.read()) == [(one, 1, 2, False), (two, 0, 2, False)]
    forward.finish(two)
    assert pieces(forward.read()) == [(one, 3, 1, False), (two, 2, 1, True)]
    forward.finish(one)
    assert pieces(forward.read()) == [(one, 4, 1, True)]


def test_the_next_wave_need_not_wait_for_a_reader(device: Device) -> None:
    names = []
    for wave in range(3):
        (name,) = device.begin()
        device.push(name, random_windows(wave, 2 + wave))
        device.finish(name)
        names.append(name)
    found = device.read()
    assert pieces(found) == [(name, 0, 2 + wave, True) for wave, name in enumerate(names)]
    assert [entry.utterance for entry in device.counters().utterances] == names


def test_frames_are_those_of_the_moment_of_the_push(device: Device) -> None:
    windows = random_windows(0, 4)
    (name,) = device.begin()
    device.push(name, windows)
    expected = accelerated_outputs(small_program(1), windows)
    windows[:] = 0
    device.finish(name)
    assert np.array_equal(device.read()[0].values, expected)


# ---- what is refused ---------------------------------------------------------------------------


def test_more_utterances_than_contexts(device: Device) -> None:
    with pytest.raises(AcceleratorFullError):
        device.begin(GRID.contexts + 1)
    with pytest.raises(AcceleratorError):
        device.begin(0)
    assert len(device.begin(GRID.contexts)) == GRID.contexts


def test_a_wave_in_flight_lets_no_other_begin(device: Device) -> None:
    one, two = device.begin(2)
    for name in (one, two):
        with pytest.raises(AcceleratorError):
            device.begin()
        device.push(name, random_windows(0, 1))
        device.finish(name)
    assert device.begin()


@pytest.mark.parametrize("utterances", [1, 2])
def test_more_frames_than_the_sequence_memory_holds(device: Device, utterances: int) -> None:
    places = min(memory.frames for memory in small_program(1).sequences)
    names = device.begin(utterances)
    for name in names[1:]:
        device.push(name, random_windows(9, 3))
    left = places - 3 * (utterances - 1)
    windows = random_windows(0, left)
    with pytest.raises(AcceleratorFullError):
        device.push(names[0], random_windows(1, left + 1))  # none of them is taken
    device.push(names[0], windows)
    with pytest.raises(AcceleratorFullError):
        device.push(names[0], windows[:1])
    for name in names:
        device.finish(name)
    outputs = device.read()[0].values
    assert np.array_equal(outputs, accelerated_outputs(small_program(1), windows))
    (name,) = device.begin()  # places are free again
    device.push(name, windows)


@pytest.mark.parametrize("name", ["forward", "LSTM on the host"])
def test_where_nothing_reads_backwards_any_length_goes(make: Make, name: str) -> None:
    program = PROGRAMS[name]()
    device = with_program(make, program)
    (utterance,) = device.begin()
    device.push(utterance, random_windows(0, 300))
    device.finish(utterance)
    assert len(device.read()[0].values) == 300 > max([m.frames for m in program.sequences] or [0])


def test_other_windows(device: Device) -> None:
    (name,) = device.begin()
    others: list[Any] = [
        np.zeros((2, 6), dtype=np.int64),
        np.zeros((2, 7), dtype=np.uint8),
        np.zeros(6, dtype=np.uint8),
    ]
    for windows in others:
        with pytest.raises(InputWindowsError):
            device.push(name, windows)
    device.push(name, random_windows(0, 2))
    device.finish(name)
    assert pieces(device.read()) == [(name, 0, 2, True)]


def test_utterances_that_are_not_in_flight(device: Device) -> None:
    (name,) = device.begin()
    device.push(name, random_windows(0, 2))
    device.finish(name)
    for other in (name, name + 1, -1):
        with pytest.raises(AcceleratorError):
            device.push(other, random_windows(0, 1))
        with pytest.raises(AcceleratorError):
            device.finish(other)
    assert pieces(device.read()) == [(name, 0, 2, True)]


def test_an_utterance_without_frames_cannot_finish(device: Device) -> None:
    (name,) = device.begin()
    device.push(name, random_windows(0, 0))
    with pytest.raises(AcceleratorError):
        device.finish(name)
    device.push(name, random_windows(0, 1))
    device.finish(name)
    assert pieces(device.read()) == [(name, 0, 1, True)]


# ---- counters and state ------------------------------------------------------------------------


def test_counters_of_a_run(device: Device) -> None:
    lengths = [(3, 5), (2,)]
    for wave in lengths:
        names = device.begin(len(wave))
        for name, frames in zip(names, wave, strict=True):
            device.push(name, random_windows(name, frames))
            device.finish(name)
    counters = device.counters()
    assert [core.core for core in counters.cores] == list(range(GRID.cores))
    assert {core.total for core in counters.cores} == {counters.cycles}
    assert [len(times.sent) for times in counters.utterances] == [3, 5, 2]
    for times in counters.utterances:
        assert list(times.sent) == sorted(set(times.sent))
        assert min(times.frame_latencies) > 0
        assert max(times.frame_latencies) <= times.latency == max(times.arrived) - times.sent[0]
    assert max(max(times.arrived) for times in counters.utterances) == counters.cycles
    assert 0 <= counters.utilisation < 1
    assert device.counters() == counters  # reading them changes nothing


def test_counters_of_nothing(device: Device) -> None:
    counters = device.counters()
    assert (counters.cycles, counters.utterances, counters.utilisation) == (0, (), 0)
    assert [core.total for core in counters.cores] == [0] * GRID.cores
    device.begin()
    with pytest.raises(AcceleratorError):
        device.counters()


@pytest.mark.parametrize("seed", range(3))
def test_how_pushes_are_cut_changes_nothing(make: Make, seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = PROGRAMS["forward"]()
    heard = [random_windows(n, frames) for n, frames in enumerate((6, 3, 9))]
    found = []
    for cut in (False, True):
        device = with_program(make, program)
        names = device.begin(len(heard))
        parts = [(n, windows) for n, windows in zip(names, heard, strict=True)]
        if cut:
            parts = [(n, row[None]) for n, windows in parts for row in windows]
            turn = rng.permutation(np.repeat(names, [len(windows) for windows in heard]))
            waiting = {name: iter([p for n, p in parts if n == name]) for name in names}
            parts = [(int(name), next(waiting[int(name)])) for name in turn]
        values: dict[int, list[np.ndarray]] = {name: [] for name in names}
        for name, windows in parts:
            device.push(name, windows)
            for part in device.read():
                values[part.utterance].append(part.values)
        for name in names:
            device.finish(name)
        for part in device.read():
            values[part.utterance].append(part.values)
        outputs = [np.concatenate(values[name]).tolist() for name in names]
        found.append((outputs, device.counters()))
    assert found[0] == found[1]


def test_reset_is_back_to_the_beginning(device: Device) -> None:
    def run() -> int:
        (name,) = device.begin()
        device.push(name, random_windows(0, 4))
        device.finish(name)
        return name

    first = run()
    before = device.counters()
    device.reset()
    assert device.read() == []
    assert device.counters().cycles == 0
    device.begin(2)
    device.reset()  # in flight too
    again = run()
    assert again > first  # names are used once
    after = device.counters()
    assert (after.cycles, after.cores) == (before.cycles, before.cores)
    assert [replace(times, utterance=first) for times in after.utterances] == list(
        before.utterances
    )


def test_closed_devices_do_nothing(device: Device) -> None:
    device.close()
    for use in (device.reset, device.begin, device.read, device.counters):
        with pytest.raises(AcceleratorError):
            use()
    with pytest.raises(AcceleratorError):
        device.load(small_program(1))


def test_counters_of_a_core_are_the_registers_of_the_host_window() -> None:
    names = [entry.name for entry in fields(CoreCounters) if entry.name != "core"]
    assert len(names) == COUNTERS_OF_CORE
    region = next(region for region in host_window(GRID) if region.name == "counters")
    assert ", ".join(names).replace("_", " ") in region.content


# ---- the driver on every device ----------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_driver_runs_whole_utterances(make: Make, program: Callable[[], Program]) -> None:
    heard = [random_windows(n, frames) for n, frames in enumerate((3, 8, 1, 5, 2))]
    reference = ReferenceExecutor(program().model)
    with Accelerator(program(), make(program().config), host_backend="reference") as accelerator:
        result = accelerator.run(heard, in_flight=2)
        for windows, logits in zip(heard, result.logits, strict=True):
            assert np.array_equal(logits, reference.run(windows))
        assert [len(times.sent) for times in result.counters.utterances] == [3, 8, 1, 5, 2]
        assert accelerator.counters() == result.counters
        assert accelerator.read() == []
    with pytest.raises(AcceleratorError):
        accelerator.run(heard)


def in_pieces(accelerator: Accelerator, heard: list[np.ndarray]) -> list[np.ndarray]:
    """Logits of utterances that are pushed two frames at a time, read after each."""
    names = accelerator.begin(len(heard))
    found: dict[int, list[np.ndarray]] = {name: [] for name in names}
    ended: list[int] = []

    def read() -> None:
        for part in accelerator.read():
            before = found[part.utterance]
            assert part.first == sum(map(len, before))
            before.append(part.logits)
            ended.extend([part.utterance] if part.last else [])

    for start in range(0, max(map(len, heard)), 2):
        for name, windows in zip(names, heard, strict=True):
            accelerator.push(name, windows[start : start + 2])
        read()
    for name in names:
        accelerator.finish(name)
    read()
    assert ended == list(names)
    return [np.concatenate(found[name]) for name in names]


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_driver_takes_utterances_in_pieces(make: Make, program: Callable[[], Program]) -> None:
    accelerator = Accelerator(program(), make(program().config), host_backend="reference")
    reference = ReferenceExecutor(program().model)
    for wave in range(2):
        heard = [random_windows(wave, 7), random_windows(9, 5)]
        for windows, logits in zip(heard, in_pieces(accelerator, heard), strict=True):
            assert np.array_equal(logits, reference.run(windows))


def test_driver_gives_logits_early_where_the_network_reads_forwards(make: Make) -> None:
    accelerator = Accelerator(PROGRAMS["forward"](), make(GRID), host_backend="reference")
    (name,) = accelerator.begin()
    accelerator.push(name, random_windows(0, 5))
    assert [(part.first, len(part.logits), part.last) for part in accelerator.read()] == [
        (0, 4, False)
    ]
