"""Who gives up slots for whom."""

from __future__ import annotations

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.slot_wheel import Channel
from sparsespeech.compiler.slot_widths import Fight, SlotWidths

TINY = TARGETS["tiny"]  # 16 slots
PLACES = ((0, 0), (0, 1), (1, 1), (1, 0))
LINK = Channel((0, 0), (0, 1), "frames")


def _stream(slots: int, *, least: int = 1, patience: int = 0, group: str = "") -> Connection:
    return Connection("s", "activations", 0, (1,), slots, 0, 0, (), least, patience, group)


def _relieved(streams: list[Connection], *fights: Fight) -> list[int]:
    numbers = range(len(streams))
    width = SlotWidths(streams, PLACES, TINY)
    assert width.relieve(fights, numbers) == any(one.slots > 1 for one in streams)
    return [width[number] for number in numbers]


def test_those_that_stay_fast_enough_go_first_then_the_patient_then_the_wide() -> None:
    fight = Fight(LINK, (0, 1, 2), ())
    assert _relieved(
        [_stream(4, least=4, patience=2), _stream(2), _stream(2, patience=1)], fight
    ) == [
        4,
        2,
        1,
    ]
    assert _relieved([_stream(4), _stream(2), _stream(2, patience=1)], fight) == [4, 2, 1]
    assert _relieved([_stream(2), _stream(4), _stream(2)], fight) == [2, 2, 2]


def test_streams_of_a_group_that_are_as_wide_are_halved_together() -> None:
    streams = [_stream(2, group="a"), _stream(4, group="a"), _stream(4, group="a"), _stream(4)]
    assert _relieved(streams, Fight(LINK, (1, 3), ())) == [2, 4, 4, 2]
    assert _relieved(streams, Fight(LINK, (1, 0), ())) == [2, 2, 2, 4]


def test_fighters_then_neighbours_then_anyone() -> None:
    streams = [_stream(1), _stream(1), _stream(2), _stream(8)]
    small, large = Fight(LINK, (0, 2), ()), Fight(LINK, (0, 1, 3), ())
    assert _relieved(streams, small, large) == [1, 1, 2, 4]
    assert _relieved(streams, Fight(LINK, (0, 1), (0, 1, 2))) == [1, 1, 1, 8]
    assert _relieved(streams, Fight(LINK, (0, 1), (0, 1))) == [1, 1, 2, 4]


def test_nothing_is_left_to_halve() -> None:
    assert _relieved([_stream(1), _stream(1)], Fight(LINK, (0, 1), (0, 1))) == [1, 1]


def test_the_widest_streams_of_a_port_are_halved_alike_until_they_fit() -> None:
    width = SlotWidths([_stream(8), _stream(8), _stream(4)], PLACES, TINY)
    assert [width[number] for number in range(3)] == [4, 4, 4]
