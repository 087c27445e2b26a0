"""An accelerator without an accelerator: the contract of devices, kept with the numpy reference.

Axes: C inputs of a window, O outputs of the last accelerated layer.

It has none of the books that the simulator keeps (no queue, no images, no timing): what the driver
gets from it can only come through the contract. Its clock counts a fixed time for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_counters import CoreCounters, Counters, UtteranceTimes
from sparsespeech.accelerator_device import Outputs
from sparsespeech.compiler.program import HOST, Program
from sparsespeech.errors import (
    AcceleratorError,
    AcceleratorFullError,
    InputWindowsError,
    ProgramFileError,
)
from sparsespeech.graph import Graph
from sparsespeech.integer_arithmetic.reference_model import ReferenceExecutor
from sparsespeech.model_file.model import IntegerModel

CYCLES = 10  # from frame to frame
ON_THE_WAY = 25  # from sending to arriving


def accelerated_model(program: Program) -> IntegerModel:
    """The layers that a program runs, alone."""
    model, names = program.model, program.accelerated
    return replace(
        model,
        graph=Graph(tuple(layer for layer in model.graph.layers if layer.name in names)),
        layers=tuple(layer for layer in model.layers if layer.name in names),
    )


def accelerated_outputs(program: Program, windows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the reference says of them: uint8[T, C] to uint8[T, O]."""
    return ReferenceExecutor(accelerated_model(program)).run(windows).astype(np.uint8)


@dataclass(eq=False)
class Heard:
    wave: int
    windows: list[NDArray[np.uint8]] = field(default_factory=list)
    finished: bool = False
    read: int = 0


def known(entry: Heard) -> int:
    """Frames of which it is known whether they are the last."""
    return len(entry.windows) if entry.finished else max(0, len(entry.windows) - 1)


class ReferenceDevice:
    def __init__(self, config: AcceleratorConfig) -> None:
        self.config = config
        self.program: Program | None = None
        self.closed = False
        self.names = 0
        self.waves = 0
        self.heard: dict[int, Heard] = {}

    def load(self, program: Program) -> None:
        if self.closed:
            raise AcceleratorError("closed")
        if program.config != self.config:
            raise ProgramFileError("another configuration (rule P10)")
        self.program = program
        self.heard = {}

    def loaded(self) -> Program:
        if self.closed or self.program is None:
            raise AcceleratorError("closed, or no program is loaded")
        return self.program

    def reset(self) -> None:
        self.loaded()
        self.heard = {}

    def begin(self, utterances: int = 1) -> tuple[int, ...]:
        self.loaded()
        if utterances < 1 or any(not entry.finished for entry in self.heard.values()):
            raise AcceleratorError("in flight, or none at all")
        if utterances > self.config.contexts:
            raise AcceleratorFullError("contexts")
        names = tuple(range(self.names, self.names + utterances))
        self.names += utterances
        self.waves += 1
        self.heard |= {name: Heard(self.waves) for name in names}
        return names

    def in_flight(self, utterance: int) -> Heard:
        self.loaded()
        if utterance not in self.heard or self.heard[utterance].finished:
            raise AcceleratorError(f"utterance {utterance} is not in flight")
        return self.heard[utterance]

    def push(self, utterance: int, frames: NDArray[np.uint8]) -> None:
        entry = self.in_flight(utterance)
        program = self.loaded()
        width = next(s.frame for s in program.streams if s.kind == "activations" and s.source < 0)
        if frames.dtype != np.uint8 or frames.ndim != 2 or frames.shape[1] != width:
            raise InputWindowsError(f"uint8[T, {width}]")
        places = [
            memory.frames
            for memory in program.sequences
            if memory.chain != HOST and memory.directions != ("forward",)
        ]
        held = sum(len(other.windows) for other in self.together(entry)) + len(frames)
        if held > min(places, default=held):
            raise AcceleratorFullError("sequence memory")
        entry.windows += list(frames.copy())

    def finish(self, utterance: int) -> None:
        entry = self.in_flight(utterance)
        if not entry.windows:
            raise AcceleratorError("0 frames")
        entry.finished = True

    def together(self, entry: Heard) -> list[Heard]:
        return [other for other in self.heard.values() if other.wave == entry.wave]

    def sent(self, entry: Heard) -> int:
        """Frames whose turn has come: those that have not finished hold the others up."""
        together = self.together(entry)
        count = known(entry)
        for place, other in enumerate(together):
            if not other.finished:
                comes_later = place > together.index(entry)
                count = min(count, known(other) + comes_later)
        return count

    def read(self) -> list[Outputs]:
        program = self.loaded()
        backwards = any(chain.direction == "backward" for chain in program.chains)
        found = []
        for name, entry in self.heard.items():
            ready = self.sent(entry)
            if backwards and not all(other.finished for other in self.together(entry)):
                ready = 0
            if ready > entry.read:
                values = accelerated_outputs(program, np.stack(entry.windows[:ready]))
                last = entry.finished and ready == len(entry.windows)
                found.append(Outputs(name, entry.read, values[entry.read :], last))
                entry.read = ready
        return found

    def counters(self) -> Counters:
        self.loaded()
        if any(not entry.finished for entry in self.heard.values()):
            raise AcceleratorError("in flight")
        cycle = 0
        times = []
        for name, entry in self.heard.items():
            sent = tuple(cycle + CYCLES * n for n in range(len(entry.windows)))
            times.append(UtteranceTimes(name, sent, tuple(at + ON_THE_WAY for at in sent)))
            cycle = sent[-1] + CYCLES
        cycles = max((entry.arrived[-1] for entry in times), default=0)
        cores = tuple(CoreCounters(n, 0, 0, 0, 0, 0, 0, cycles) for n in range(self.config.cores))
        return Counters(cycles, cores, tuple(times))

    def close(self) -> None:
        self.closed = True
