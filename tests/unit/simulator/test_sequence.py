"""The order of frames and the places of sequence memories: rule T12."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.program import Sequence
from sparsespeech.errors import SimulationError
from sparsespeech.simulator.sequence import Frame, FrameOrder, SequenceMemory

CONFIG = TARGETS["tiny"]


def brief(frames: list[Frame]) -> list[tuple[int, int, int]]:
    return [(frame.wave, frame.utterance, frame.index) for frame in frames]


def test_utterances_of_a_wave_take_turns_and_fall_out() -> None:
    order = FrameOrder([[3, 1, 2], [1]], 4)
    arriving = [(0, 0, 0), (0, 1, 0), (0, 2, 0), (0, 0, 1), (0, 2, 1), (0, 0, 2), (1, 0, 0)]
    assert brief(order.arriving()) == arriving
    assert [frame.number for frame in order.arriving()] == list(range(7))
    assert brief(order.sent("forward")) == arriving
    assert brief(order.sent("backward")) == [*arriving[5::-1], arriving[6]]


def test_first_and_last_steps_change_places_backwards() -> None:
    order = FrameOrder([[2]], 1)
    ends = [(frame.first, frame.last) for frame in order.sent("forward")]
    assert ends == [(True, False), (False, True)]
    turned = order.sent("backward")
    assert [(frame.index, frame.first, frame.last) for frame in turned] == [
        (1, True, False),
        (0, False, True),
    ]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(6, 9))
def test_a_place_is_free_when_enough_waves_have_left(lengths: list[int], places: int) -> None:
    order = FrameOrder([[length] for length in lengths], 1)
    for number in range(places, sum(lengths)):
        taken = number  # places that frames before it took, given back wave by wave
        waves = 0
        while taken >= places:
            taken -= lengths[waves]
            waves += 1
        assert order.wave_that_frees(number, places) == waves - 1


def test_places_are_given_back_when_both_directions_have_left() -> None:
    order = FrameOrder([[2], [2]], 1)
    sequence = Sequence(0, (1, 2), ("forward", "backward"), 2)
    memory = SequenceMemory(CONFIG, sequence, order)
    last = order.sent("forward")[1]
    assert memory.place_free(1) == 0
    assert memory.place_free(2) is None
    memory.leave(order.sent("forward")[0], 60, closes_wave=False)
    memory.leave(last, 70, closes_wave=True)
    assert memory.place_free(2) is None
    memory.leave(last, 50, closes_wave=True)
    assert memory.place_free(2) == 70 + CONFIG.stages.credit
    assert memory.there(0) is None
    memory.write(33)
    assert memory.there(0) == 33


@pytest.mark.parametrize(
    ("waves", "message"),
    [
        ([], "at least one wave"),
        ([[]], "wave 0 has 0 utterances, expected 1 to 2"),
        ([[1], [1, 1, 1]], "wave 1 has 3 utterances, expected 1 to 2"),
        ([[4, 0]], "wave 0: an utterance has 0 frames"),
    ],
)
def test_waves_that_cannot_be_in_flight(waves: list[list[int]], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        FrameOrder(waves, 2)


def test_a_wave_that_does_not_fit_the_memory() -> None:
    order = FrameOrder([[2], [2, 3]], 2)
    with pytest.raises(
        SimulationError,
        match=r"wave 1 has 5 frames, .* chain 7 holds 4; shorten .* for sequence_bytes = "
        r"20480 \(now 16384; `sparsespeech compile --config",
    ):
        SequenceMemory(CONFIG, Sequence(7, (0,), ("backward",), 4), order)


def test_a_ring_gives_back_a_place_for_each_frame_that_is_sent() -> None:
    order = FrameOrder([[5]], 1)
    memory = SequenceMemory(CONFIG, Sequence(0, (1,), ("forward",), 2), order)
    first, second = order.sent("forward")[:2]
    assert [memory.place_free(number) for number in range(4)] == [0, 0, None, None]
    memory.leave(first, 40, closes_wave=False)
    memory.leave(second, 60, closes_wave=False)
    credit = CONFIG.stages.credit
    assert [memory.place_free(number) for number in (2, 3, 4)] == [40 + credit, 60 + credit, None]
