"""Circuits for networks that crowd the grid, and errors where there are none."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.circuits import CircuitSearch
from sparsespeech.compiler.connections import Connection
from sparsespeech.compiler.negotiation import Beginning, Negotiation, channels_of
from sparsespeech.compiler.passes.route import route
from sparsespeech.compiler.program import Place
from sparsespeech.compiler.slot_wheel import Channel
from sparsespeech.compiler.slot_widths import SlotWidths
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Linear, Lstm
from tests.placed_plans import placed_plan
from tests.stepped_network import replay

VU9P = TARGETS["ddese-vu9p"]
LINE = replace(TARGETS["tiny"], grid_rows=1, grid_columns=4, cores=4)
PLACES: tuple[Place, ...] = ((0, 0), (0, 1), (0, 2), (0, 3))


def _stream(name: str, source: int, *sinks: int, slots: int = 1) -> Connection:
    return Connection(name, "activations", source, sinks, slots)


def _search(config: AcceleratorConfig, *streams: Connection) -> list[int]:
    """Slots that the streams got."""
    circuits = CircuitSearch(streams, PLACES, config).run()
    return [circuit.slots.bit_count() for circuit in circuits]


@pytest.mark.parametrize(
    ("cells", "row_groups"),
    [
        (256, (1, 2, 4, 7)),
        (200, (1, 2, 5, 7)),
        pytest.param(180, (1, 3, 6, 7), marks=pytest.mark.slow),
        pytest.param(160, (1, 3, 6, 7), marks=pytest.mark.slow),
        pytest.param(160, (1, 2, 5, 8), marks=pytest.mark.slow),
    ],
)
def test_many_short_chains_in_both_directions(cells: int, row_groups: tuple[int, ...]) -> None:
    """Ports of the input cores want every slot, those of the recurrent ones nearly so."""
    network = Graph(
        (
            Linear("layer1", 6, 8),
            Linear("layer2", 8, 200),
            Linear("layer3", 200, 384),
            Lstm("layer4", 384, cells, bidirectional=True),
        )
    )
    routed = route(placed_plan(network, VU9P, "interleaved", row_groups))
    recurrent = {chain.cores[0] for chain in routed.chains if chain.role == "recurrent"}
    assert replay(routed.streams, routed.places, VU9P, recurrent) > 0


def test_a_link_without_room_is_no_overloaded_port() -> None:
    """Each port has a slot for its stream, but both streams need the link in the middle."""
    streams = _stream("near", 0, 2), _stream("far", 1, 3)
    config = replace(LINE, slots=1)
    with pytest.raises(
        CompileError, match=r"no circuits found: 2 streams \(near, far\) .* site"
    ) as e:
        _search(config, *streams)
    assert "the link for frames from site (0, 1) to site (0, 2)" in str(e.value)
    assert "slots = 2" in str(e.value)
    assert "overloaded" not in str(e.value)
    assert _search(replace(LINE, slots=2), *streams) == [1, 1]


def test_a_port_with_more_streams_than_slots_is_overloaded() -> None:
    streams = [_stream(f"to {sink}", 0, sink) for sink in (1, 2, 3, 1, 2)]
    message = (
        r"site \(0, 0\), port to put frames is overloaded: "
        r"5 streams \(to 1, to 2, to 3 and 2 more\) need a slot each, 5 in all, of a wheel of 4; "
        r"set slots = 8 "
    )
    with pytest.raises(CompileError, match=message):
        _search(replace(LINE, slots=4), *streams)
    assert sum(_search(replace(LINE, slots=8), *streams)) == 5


def test_streams_in_the_way_are_narrowed_before_the_search_ends() -> None:
    """Two fit in 4 slots only once the wide one, which fights nobody on its own, gets fewer."""
    wide, narrow = _stream("wide", 0, 2, slots=4), _stream("narrow", 1, 3)
    assert _search(replace(LINE, slots=4), wide, narrow) == [2, 1]


def test_what_a_group_held_while_it_looked_for_a_bus_is_free_again() -> None:
    """Three streams that need all slots each meet at any hub, but not on their own ways."""
    ways = ((0, 1), (1, 2), (2, 3))
    streams = [replace(_stream(f"{way}", *way, slots=8), group="all") for way in ways]
    found = Negotiation(
        streams,
        PLACES,
        replace(LINE, slots=8),
        SlotWidths(streams, PLACES, replace(LINE, slots=8)),
        Beginning(order=(2, 0, 1), lanes={}, few=2),
    )
    assert found.run() == []
    held: dict[Channel, dict[int, int]] = {}
    for number, one in enumerate(streams):
        circuit = found.circuits[number]
        for channel, depth in channels_of(one, circuit.tree, PLACES):
            held.setdefault(channel, {})[number] = found.wheel.at_depth(circuit.slots, depth)
    links = [Channel(start, stop, "frames") for start, stop in itertools.permutations(PLACES, 2)]
    ports = [Channel(place, place, f"{way} frames") for place in PLACES for way in ("put", "take")]
    for channel in links + ports:
        for slot in range(8):
            users = {n for n, mask in held.get(channel, {}).items() if mask >> slot & 1}
            assert set(found.wheel.owners(channel, 1 << slot)) == users


def test_frames_and_control_flits_share_no_wires() -> None:
    frames = _stream("frames", 0, 2), replace(_stream("credits", 1, 3), kind="credits")
    assert _search(replace(LINE, slots=1), *frames) == [1, 1]
