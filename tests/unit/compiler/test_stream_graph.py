"""Slots from rates, loads of links, and the proof that no core waits for itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.passes.route import route
from sparsespeech.compiler.program import Link, Sink, Stream
from sparsespeech.compiler.stream_graph import (
    LinkLoad,
    link_loads,
    prove_acyclic,
    slots_for_frame,
    slots_for_rate,
)
from sparsespeech.errors import CompileError
from tests.placed_plans import full_size

MAU = TARGETS["mau-stratix10"]


def _stream(source: int, sinks: tuple[int, ...], kind: str = "activations") -> Stream:
    return Stream("s", kind, source, tuple(Sink(core, 1) for core in sinks), (0,), ())  # type: ignore[arg-type]  # kinds of the tests are literals


@pytest.mark.parametrize("per_cycle", [0.5, 1, 2, 3, 4])
def test_slots_carry_the_rate_and_half_of_them_would_not(per_cycle: float) -> None:
    slots = slots_for_rate(MAU, per_cycle)
    carried = Fraction(slots * MAU.flit_activations, MAU.slots)
    assert carried >= per_cycle > carried / 2
    assert slots & (slots - 1) == 0


def test_slots_for_frames_of_table_ii() -> None:
    assert slots_for_frame(MAU, 2048, 512) == 8  # 256 flits in 512 cycles
    assert slots_for_frame(MAU, 2048, 511) == 8  # no more than half of the wheel
    assert slots_for_frame(MAU, 2048, 1024) == 4
    assert slots_for_frame(MAU, 1, 10**6) == 1


def test_loads_add_up_to_the_slots_of_all_streams() -> None:
    routed = route(full_size(MAU, "paper"))
    loads = link_loads(routed.streams)
    frames = [stream for stream in routed.streams if stream.kind == "activations"]
    held = [len(link.slots) for one in frames for link in one.links]
    assert sum(load.slots for load in loads) == sum(held)
    assert sum(load.streams for load in loads) == len(held)
    assert all(0 < load.slots <= MAU.slots for load in loads)
    inwards, outwards = (load for load in loads if load.start == load.stop)
    assert (inwards.to_host, outwards.to_host) == (False, True)
    assert inwards.slots == len(frames[0].slots)
    outputs = [one for one in frames if one.name.startswith("outputs")]
    assert outwards.slots == sum(len(one.slots) for one in outputs)


def test_only_frames_load_a_link_and_the_hosts_port_has_two_ways() -> None:
    west, east = (0, 0), (0, 1)
    into, out_of, across = Link(west, west, (5, 6)), Link(west, west, (7,)), Link(west, east, (4,))
    streams = [
        replace(_stream(-1, (0,)), links=(into, across)),
        replace(_stream(0, (-1,)), links=(across, out_of)),
        replace(_stream(1, (0,)), links=(Link(east, west, (0, 8, 9)),)),
        replace(_stream(0, (-1,), "credits"), links=(across, out_of)),  # on wires of their own
        replace(_stream(0, (1,), "partial_sums"), links=(Link(west, east, tuple(range(16))),)),
    ]
    assert link_loads(streams) == (
        LinkLoad(west, west, False, 2, 1),
        LinkLoad(west, west, True, 1, 1),
        LinkLoad(west, east, False, 2, 2),
        LinkLoad(east, west, False, 3, 1),
    )


def test_order_respects_every_need() -> None:
    streams = [_stream(2, (1, 3)), _stream(3, (1,), "partial_sums"), _stream(-1, (2,))]
    order = prove_acyclic(streams, recurrent=())
    assert order.index(2) < order.index(3) < order.index(1)


def test_circle_is_named() -> None:
    streams = [_stream(5, (6,)), _stream(6, (7,), "gate_inputs"), _stream(7, (5, 8))]
    with pytest.raises(CompileError, match=r"core 5 needs core 7 needs core 6 needs core 5"):
        prove_acyclic(streams, recurrent=())


def test_fed_back_outputs_and_credits_close_no_circle() -> None:
    streams = [_stream(1, (2,)), _stream(2, (1, -1)), _stream(2, (1,), "credits")]
    assert prove_acyclic(streams, recurrent={2}) == (1, 2)
    with pytest.raises(CompileError, match="circle"):
        prove_acyclic(streams, recurrent=())


def test_real_programs_have_an_order() -> None:
    routed = route(full_size(MAU, "interleaved"))
    tails = {chain.cores[-1] for chain in routed.chains if chain.role == "recurrent"}
    order = prove_acyclic(routed.streams, tails)
    assert sorted(order) == list(range(34))
    layers = {core: chain.layer for chain in routed.chains for core in chain.cores}
    first = {
        name: min(order.index(c) for c in layers if layers[c] == name) for name in layers.values()
    }
    assert first["layer1"] < first["layer2"] < first["layer3"] < first["layer4"]
    backwards = [
        replace(stream, source=33) if stream.source == 0 else stream for stream in routed.streams
    ]
    with pytest.raises(CompileError, match="circle"):
        prove_acyclic(backwards, ())
