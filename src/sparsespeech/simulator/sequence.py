"""Rule T12: the order of frames, and the memories that keep them and send them on.

A *wave* is a set of utterances in flight together; frames of a run are numbered in the order in
which the host sends them. All times are cycles.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass

import numpy as np

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_waves import what_helps_full
from sparsespeech.compiler.program import HOST, Sequence
from sparsespeech.errors import SimulationError


@dataclass(frozen=True)
class Frame:
    """One frame of one utterance, on its way in one direction."""

    wave: int
    utterance: int  # in the wave: its context
    index: int  # in the utterance
    number: int  # in the run, in the order of the host
    direction: str  # "" in the linear layers
    first: bool  # step of the utterance in this direction
    last: bool


class FrameOrder:
    """The frames of a run, wave by wave."""

    def __init__(self, waves: Items[Items[int]], contexts: int) -> None:
        """``waves``: frames of each utterance; SimulationError for what cannot be in flight."""
        self._waves: list[list[Frame]] = []
        self._ends: list[int] = []  # numbers behind the last frame of each wave
        number = 0
        for wave, lengths in enumerate(waves):
            _check_wave(wave, lengths, contexts)
            frames = []
            for index in range(max(lengths)):
                for utterance, length in enumerate(lengths):
                    if index < length:
                        last = index == length - 1
                        frames.append(Frame(wave, utterance, index, number, "", index == 0, last))
                        number += 1
            self._waves.append(frames)
            self._ends.append(number)
        if not self._waves:
            raise SimulationError("a run needs at least one wave of utterances, got none")

    @property
    def waves(self) -> int:
        """Number of waves."""
        return len(self._waves)

    def arriving(self) -> list[Frame]:
        """All frames in the order of the host."""
        return [frame for frames in self._waves for frame in frames]

    def sent(self, direction: str) -> list[Frame]:
        """All frames in the order in which a sequence sends them in one direction."""
        if direction == "forward":
            return [_turned(frame, direction) for frame in self.arriving()]
        backward = [frame for frames in self._waves for frame in reversed(frames)]
        return [_turned(frame, direction) for frame in backward]

    def frames(self, wave: int) -> int:
        """Of one wave."""
        return len(self._waves[wave])

    def last_number(self, wave: int) -> int:
        """Of the last frame of one wave."""
        return self._ends[wave] - 1

    def wave_that_frees(self, number: int, places: int) -> int:
        """The wave that must have left a memory before frame ``number`` finds a place in it.

        The first ``places`` frames find one anyway.
        """
        return int(np.searchsorted(self._ends, number - places + 1))


def _check_wave(wave: int, lengths: Items[int], contexts: int) -> None:
    if not 1 <= len(lengths) <= contexts:
        raise SimulationError(
            f"wave {wave} has {len(lengths)} utterances, expected 1 to {contexts} "
            "(contexts of the accelerator)"
        )
    if min(lengths) < 1:
        raise SimulationError(f"wave {wave}: an utterance has {min(lengths)} frames, expected 1")


def _turned(frame: Frame, direction: str) -> Frame:
    first, last = frame.first, frame.last
    if direction == "backward":
        first, last = last, first
    return Frame(frame.wave, frame.utterance, frame.index, frame.number, direction, first, last)


class SequenceMemory:
    """What one sequence keeps: when frames are there, and when places are free again."""

    def __init__(self, config: AcceleratorConfig, sequence: Sequence, order: FrameOrder) -> None:
        """Raises SimulationError for a wave that has to fit and does not."""
        keeps_waves = sequence.chain != HOST and not sequence.is_ring
        for wave in range(order.waves) if keeps_waves else ():
            if order.frames(wave) > sequence.frames:
                raise SimulationError(
                    f"wave {wave} has {order.frames(wave)} frames, the sequence memory of chain "
                    f"{sequence.chain} holds {sequence.frames}; "
                    f"{what_helps_full(order.frames(wave), sequence.frames, config)}"
                )
        self.sequence = sequence
        self._order = order
        self._credit = config.stages.credit
        self._directions = 2 if "both" in sequence.directions else len(sequence.directions)
        self._there: list[int] = []
        self._left: list[list[int]] = [[] for _ in range(order.waves)]
        self._gone: list[int] = []  # ring: when each frame was put on whole

    def write(self, there: int) -> None:
        """The next frame is there from this cycle on."""
        self._there.append(there)

    def there(self, number: int) -> int | None:
        """From when on frame ``number`` is there; None as long as nobody knows."""
        return self._there[number] if number < len(self._there) else None

    def leave(self, frame: Frame, put_on: int, *, closes_wave: bool) -> None:
        """A frame was put on whole; ``closes_wave``: the last of its wave in its direction."""
        if self.sequence.is_ring:
            self._gone.append(put_on)
        elif closes_wave:
            self._left[frame.wave].append(put_on)

    def place_free(self, number: int) -> int | None:
        """From when on there is a place for frame ``number``; None as long as nobody knows."""
        before = number - self.sequence.frames
        if before < 0:
            return 0
        if self.sequence.is_ring:
            return self._gone[before] + self._credit if before < len(self._gone) else None
        wave = self._order.wave_that_frees(number, self.sequence.frames)
        left = self._left[wave]
        return max(left) + self._credit if len(left) == self._directions else None
