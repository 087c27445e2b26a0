"""The simulator as a device: the contract of ``accelerator_device``, and the record of a run.

Axes: t frames of a piece of an utterance, C inputs of one window, O outputs of the last layer on
the accelerator.

Values do not depend on timing, nor timing on values. So values are computed as frames are sent,
and cycles when somebody asks for them, from the lengths of the utterances.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_counters import CoreCounters, Counters, UtteranceTimes
from sparsespeech.accelerator_device import Outputs
from sparsespeech.accelerator_waves import WaveQueue, reads_backwards
from sparsespeech.compiler.program import Program
from sparsespeech.compiler.program_file import check_same_config
from sparsespeech.errors import AcceleratorError
from sparsespeech.simulator.cell import UnitState
from sparsespeech.simulator.counters import core_counters
from sparsespeech.simulator.machine import Run
from sparsespeech.simulator.simulator import Simulator

Frames = NDArray[np.uint8]


@dataclass
class _Utterance:
    """What is known of one utterance of a program that is loaded."""

    state: UnitState  # of a program that reads forwards only
    sent: list[Frames] = field(default_factory=list)  # [C] each, no values computed yet
    results: list[Frames] = field(default_factory=list)  # [t, O] each, not read yet
    read: int = 0  # frames
    frames: int = 0  # sent
    ended: bool = False  # its last frame was sent


@dataclass
class _Loaded:
    """A program with what was done since the reset."""

    simulator: Simulator
    units: int
    queue: WaveQueue
    backwards: bool
    waves: list[tuple[int, ...]] = field(default_factory=list)
    utterances: dict[int, _Utterance] = field(default_factory=dict)
    record: Run | None = None  # of all waves, where somebody asked for it


class SimulatedDevice:
    """One simulated accelerator; it keeps :meth:`run_record` besides what a device has."""

    def __init__(self, config: AcceleratorConfig) -> None:
        """An accelerator with these parameters and no program."""
        self.config = config
        self._loaded: _Loaded | None = None
        self._closed = False

    def load(self, program: Program) -> None:
        """As ``Device.load``: all images are decoded here."""
        if self._closed:
            raise _closed()
        check_same_config(program.config, self.config)
        simulator = Simulator(program)
        units = simulator.arithmetic.units  # decoding the images
        self._loaded = _Loaded(simulator, units, WaveQueue(program), reads_backwards(program))

    def reset(self) -> None:
        """As ``Device.reset``."""
        loaded = self._program()
        loaded.queue.reset()
        loaded.waves.clear()
        loaded.utterances.clear()
        loaded.record = None

    def begin(self, utterances: int = 1) -> tuple[int, ...]:
        """As ``Device.begin``."""
        loaded = self._program()
        names = loaded.queue.begin(utterances)
        loaded.waves.append(names)
        loaded.utterances |= {name: _Utterance(UnitState.first(loaded.units)) for name in names}
        loaded.record = None
        return names

    def push(self, utterance: int, frames: Frames) -> None:
        """As ``Device.push``; the values of frames that can be sent are computed here.

        It never blocks: there is no bus, and the queue is the host's memory. Raises
        SimulationError for a partial sum outside its register.
        """
        loaded = self._program()
        loaded.queue.push(utterance, frames)
        _send(loaded)

    def finish(self, utterance: int) -> None:
        """As ``Device.finish``, and what :meth:`push` computes."""
        loaded = self._program()
        loaded.queue.finish(utterance)
        _send(loaded)

    def read(self) -> list[Outputs]:
        """As ``Device.read``."""
        found = []
        for name, entry in self._program().utterances.items():
            if entry.results:
                values = np.concatenate(entry.results)
                entry.results.clear()
                first, entry.read = entry.read, entry.read + len(values)
                found.append(Outputs(name, first, values, entry.ended))
        return found

    def counters(self) -> Counters:
        """As ``Device.counters``, of :meth:`run_record`."""
        if not self._program().waves:
            return Counters(0, tuple(_no_work(core, 0) for core in range(self.config.cores)), ())
        run = self.run_record()
        working = {entry.core: entry for entry in core_counters(run)}
        return Counters(
            run.cycles,
            tuple(
                working.get(core, _no_work(core, run.cycles)) for core in range(self.config.cores)
            ),
            _utterance_times(run, self._program().waves),
        )

    def run_record(self) -> Run:
        """Every pass of every core and every flit since the reset; no hardware can give that.

        Raises AcceleratorError as long as an utterance is in flight, and SimulationError if there
        was none.
        """
        loaded = self._program()
        if loaded.queue.in_flight:
            raise AcceleratorError(
                f"utterance {loaded.queue.in_flight[0]} is in flight; finish it, then ask for "
                "the counters"
            )
        if loaded.record is None:
            lengths = [[loaded.utterances[name].frames for name in wave] for wave in loaded.waves]
            loaded.record = loaded.simulator.timing(lengths)
        return loaded.record

    def close(self) -> None:
        """As ``Device.close``."""
        self._loaded = None
        self._closed = True

    def _program(self) -> _Loaded:
        if self._closed:
            raise _closed()
        if self._loaded is None:
            raise AcceleratorError("no program is loaded; load one first")
        return self._loaded


def _send(loaded: _Loaded) -> None:
    """Compute the results of the frames that can be sent by now."""
    for frame in loaded.queue.take():
        entry = loaded.utterances[frame.utterance]
        entry.sent.append(frame.activations)
        entry.frames += 1
        entry.ended = frame.last
    wave = [loaded.utterances[name] for name in loaded.waves[-1]]
    if loaded.backwards and not all(entry.ended for entry in wave):
        return
    for entry in wave:
        if entry.sent:
            windows = np.stack(entry.sent)
            entry.sent.clear()
            outputs, _ = loaded.simulator.timed_layers(windows, entry.state)
            entry.results.append(outputs)


def _no_work(core: int, cycles: int) -> CoreCounters:
    return CoreCounters(
        core, multiply=0, row_limit=0, stall=0, load=0, drain=0, recurrence=0, idle=cycles
    )


def _utterance_times(run: Run, waves: list[tuple[int, ...]]) -> tuple[UtteranceTimes, ...]:
    """Stamps of each utterance; ``waves`` are their names.

    A frame that a port sends in both directions counts from the first.
    """
    sent: dict[int, dict[int, int]] = defaultdict(dict)
    for frame, cycle in run.host_frames:
        stamps = sent[waves[frame.wave][frame.utterance]]
        stamps[frame.index] = min(stamps.get(frame.index, cycle), cycle)
    arrived: dict[int, dict[int, int]] = defaultdict(dict)
    for output in run.outputs:
        frame = output.frame
        stamps = arrived[waves[frame.wave][frame.utterance]]
        stamps[frame.index] = max(stamps.get(frame.index, 0), output.arrival)
    return tuple(
        UtteranceTimes(
            name,
            tuple(sent[name][index] for index in range(len(sent[name]))),
            tuple(arrived[name][index] for index in range(len(arrived[name]))),
        )
        for wave in waves
        for name in wave
    )


def _closed() -> AcceleratorError:
    return AcceleratorError("this accelerator is closed; make a new one")
