"""The host's queue in front of an accelerator: utterances in, frames out in the order of the wire.

Axes: t frames of a piece of an utterance, C inputs of one window.

Every device needs these books: which utterances are in flight, what the sequence memories still
hold, and which frame comes next (rule T12). How it sends frames is its own affair.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.program import HOST, Program
from sparsespeech.errors import (
    AcceleratorError,
    AcceleratorFullError,
    InputWindowsError,
    ProgramFileError,
)

Frames = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class WireFrame:
    """One frame as it goes over the wire, with what its head says."""

    utterance: int
    index: int  # in the utterance
    last: bool  # of the utterance
    closes_wave: bool  # no frame of any utterance of the wave follows
    activations: Frames  # uint8[C]


@dataclass
class _Utterance:
    pushed: int = 0
    finished: bool = False
    waiting: deque[Frames] = field(default_factory=deque)  # [C] each, not sent yet

    @property
    def sent(self) -> int:
        return self.pushed - len(self.waiting)

    @property
    def done(self) -> bool:
        return self.finished and not self.waiting

    @property
    def can_send(self) -> bool:
        """Whether its next frame is there, and known to be its last or not."""
        return len(self.waiting) > (0 if self.finished else 1)


class WaveQueue:
    """The utterances of a host for one program; names count on from one wave to the next."""

    def __init__(self, program: Program) -> None:
        """Raises ProgramFileError for a program whose host frames are not of one width."""
        self._config = program.config
        self._places = wave_places(program)
        self._inputs = host_inputs(program)
        self._wave: dict[int, _Utterance] = {}
        self._turn: deque[int] = deque()  # utterances that still send a frame of this index
        self._names = 0

    @property
    def in_flight(self) -> tuple[int, ...]:
        """The utterances that have not finished."""
        return tuple(name for name, entry in self._wave.items() if not entry.finished)

    def reset(self) -> None:
        """Drop the wave; names are not used again."""
        self._wave = {}
        self._turn.clear()

    def begin(self, utterances: int) -> tuple[int, ...]:
        """Names of the utterances of a new wave; errors as ``Device.begin`` has them."""
        if self.in_flight:
            raise AcceleratorError(
                f"utterance {self.in_flight[0]} is in flight; finish the utterances of one wave "
                "before the next one begins"
            )
        if utterances < 1:
            raise AcceleratorError(f"a wave has {utterances} utterances, expected at least 1")
        if utterances > self._config.contexts:
            raise AcceleratorFullError(
                f"a wave has {utterances} utterances, expected 1 to {self._config.contexts} "
                "(contexts of the accelerator)"
            )
        names = tuple(range(self._names, self._names + utterances))
        self._names += utterances
        self._wave = {name: _Utterance() for name in names}
        return names

    def push(self, utterance: int, frames: Frames) -> None:
        """Take frames uint8[t, C], all or none; errors as ``Device.push`` has them."""
        entry = self._entry(utterance)
        check_windows(frames, self._inputs)
        wanted = sum(other.pushed for other in self._wave.values()) + len(frames)
        if self._places is not None and wanted > self._places:
            raise AcceleratorFullError(
                f"the utterances in flight would have {wanted} frames, the sequence memory holds "
                f"{self._places}; {what_helps_full(wanted, self._places, self._config)}"
            )
        entry.pushed += len(frames)
        entry.waiting.extend(frames.copy())  # the caller may use its array again

    def finish(self, utterance: int) -> None:
        """No frame follows; errors as ``Device.finish`` has them."""
        entry = self._entry(utterance)
        if not entry.pushed:
            raise AcceleratorError(
                f"utterance {utterance} has 0 frames; give at least one feature window before it "
                "finishes"
            )
        entry.finished = True

    def take(self) -> list[WireFrame]:
        """The frames that can be sent now, in the order of the wire.

        To be called after each push and each finish: the next wave drops what was not taken.
        """
        taken: list[WireFrame] = []
        while True:
            if not self._turn:  # the next frame of each, but of those that have ended
                self._turn.extend(name for name, entry in self._wave.items() if not entry.done)
            if not self._turn or not self._wave[self._turn[0]].can_send:
                return taken
            name = self._turn.popleft()
            entry = self._wave[name]
            index = entry.sent
            activations = entry.waiting.popleft()
            # An utterance that is not done has a frame to come: it keeps one back until it
            # finishes, and cannot finish without one.
            closes_wave = all(other.done for other in self._wave.values())
            taken.append(WireFrame(name, index, entry.done, closes_wave, activations))

    def _entry(self, utterance: int) -> _Utterance:
        entry = self._wave.get(utterance)
        if entry is None or entry.finished:
            names = ", ".join(map(str, self.in_flight)) or "none"
            raise AcceleratorError(
                f"utterance {utterance} is not in flight; those that are: {names}"
            )
        return entry


def wave_places(program: Program) -> int | None:
    """Frames that a wave may have; None where nothing on the accelerator keeps them to its end.

    A memory that sends frames only forwards is a ring (T12).
    """
    memories = [
        memory.frames for memory in program.sequences if memory.chain != HOST and not memory.is_ring
    ]
    return min(memories, default=None)


def what_helps_full(frames: int, places: int, config: AcceleratorConfig) -> str:
    """The end of a message about ``frames`` of a wave for a memory of ``places``."""
    # A place has sequence_bytes / places bytes at most, so this many bytes hold all frames.
    needed = -(-config.sequence_bytes * frames // places)
    return (
        "shorten the utterances, put fewer of them in flight (--in-flight), or compile for "
        f"sequence_bytes = {needed} (now {config.sequence_bytes}; `sparsespeech compile --config "
        "FILE.toml`)"
    )


def reads_backwards(program: Program) -> bool:
    """Whether the first result needs the last frame of a wave."""
    return any(chain.direction == "backward" for chain in program.chains)


def host_inputs(program: Program) -> int:
    """C, activations of a frame that the host sends; raises ProgramFileError for several widths."""
    frames = {
        stream.frame
        for stream in program.streams
        if stream.kind == "activations" and stream.source == HOST
    }
    if len(frames) != 1:
        raise ProgramFileError(
            f"the host sends frames of {sorted(frames)} activations, expected one width; compile "
            "the model again"
        )
    return frames.pop()


def check_windows(windows: object, inputs: int) -> None:
    """Raise InputWindowsError for anything but feature windows uint8[t, C]."""
    if not isinstance(windows, np.ndarray):
        raise InputWindowsError(
            f"feature windows must be uint8[T, {inputs}], got a value of type "
            f"{type(windows).__name__}; Accelerator.windows makes them of a recording"
        )
    if windows.dtype != np.uint8 or windows.ndim != 2 or windows.shape[1] != inputs:
        raise InputWindowsError(
            f"feature windows must be uint8[T, {inputs}], got {windows.dtype.name} of shape "
            f"{list(windows.shape)}; take the features of the program's model"
        )
