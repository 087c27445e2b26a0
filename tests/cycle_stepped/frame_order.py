"""The frames of a run: what their heads say, and the order in which they come and are sent."""

from __future__ import annotations

from typing import NamedTuple


class Head(NamedTuple):
    """What the first flit of a frame says."""

    wave: int
    utterance: int
    index: int
    direction: str  # "" in the linear layers
    first: bool
    last: bool


class FrameOrder:
    """Frames of a wave in turns, wave after wave; backward frames of a wave the other way round."""

    def __init__(self, waves: list[list[int]]) -> None:
        """``waves``: the lengths of the utterances in flight together."""
        self.of_wave = [_interleaved(wave, lengths) for wave, lengths in enumerate(waves)]
        self.arriving = [head for heads in self.of_wave for head in heads]
        # Each with the number of frames that must have been written before it can be sent.
        self.sending: dict[str, list[tuple[Head, int]]] = {"forward": [], "backward": []}
        before = 0
        for heads in self.of_wave:
            for number, head in enumerate(heads):
                turned = head._replace(direction="forward")
                self.sending["forward"].append((turned, before + number + 1))
            before += len(heads)
            for head in reversed(heads):
                turned = head._replace(direction="backward", first=head.last, last=head.first)
                self.sending["backward"].append((turned, before))

    def step_before(self, head: Head) -> Head:
        """The step of the same utterance and direction before this one."""
        index = head.index - 1 if head.direction == "forward" else head.index + 1
        wanted = (head.wave, head.utterance, index)
        return next(
            step
            for step, _ in self.sending[head.direction]
            if (step.wave, step.utterance, step.index) == wanted
        )

    def closes_wave(self, head: Head) -> bool:
        """Whether nothing of the wave is sent after this frame in its direction."""
        heads = self.of_wave[head.wave]
        closing = heads[-1] if head.direction == "forward" else heads[0]
        return (head.utterance, head.index) == (closing.utterance, closing.index)


def _interleaved(wave: int, lengths: list[int]) -> list[Head]:
    return [
        Head(wave, utterance, index, "", index == 0, index == length - 1)
        for index in range(max(lengths))
        for utterance, length in enumerate(lengths)
        if index < length
    ]
