"""The frames of a run: what their heads say, and the order in which the host sends them."""

from __future__ import annotations

from typing import NamedTuple


class Head(NamedTuple):
    """What the first flit of a frame says; wave and index are there to name it in the log."""

    wave: int
    utterance: int
    index: int
    direction: str  # "" in the linear layers
    first: bool
    last: bool
    closes_wave: bool  # in this direction

    def turned(self, direction: str, *, closes_wave: bool) -> Head:
        """The head of the same frame as a memory sends it on."""
        ends = (self.first, self.last)
        first, last = ends if direction == "forward" else ends[::-1]
        return self._replace(direction=direction, first=first, last=last, closes_wave=closes_wave)


def frames_of_host(waves: list[list[int]]) -> list[Head]:
    """Frames of a wave in turns, wave after wave; ``waves``: lengths of those in flight together.

    Nobody but the host knows the lengths.
    """
    found = []
    for wave, lengths in enumerate(waves):
        heads = [
            Head(wave, utterance, index, "", index == 0, index == length - 1, closes_wave=False)
            for index in range(max(lengths))
            for utterance, length in enumerate(lengths)
            if index < length
        ]
        found += [*heads[:-1], heads[-1]._replace(closes_wave=True)]
    return found
