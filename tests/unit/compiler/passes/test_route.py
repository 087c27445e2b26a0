"""Circuits of whole plans, replayed flit by flit on a cycle-stepped grid."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.circuits import CircuitSearch
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.negotiation import Circuit
from sparsespeech.compiler.passes.route import route
from sparsespeech.compiler.program import HOST, Mapping
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Linear, deepspeech
from tests.placed_plans import full_size, placed_plan, tiny_network
from tests.stepped_network import replay

MAU = TARGETS["mau-stratix10"]
TINY = TARGETS["tiny"]


def _recurrent(plan: Plan) -> set[int]:
    return {core for chain in plan.chains if chain.role == "recurrent" for core in chain.cores}


def _replay(plan: Plan) -> int:
    return replay(plan.streams, plan.places, plan.config, _recurrent(plan))


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_full_size_gets_all_slots_that_it_wants(mapping: Mapping) -> None:
    routed = route(full_size(MAU, mapping))
    assert _replay(routed) > 0
    assert routed.facts["network"]["narrow_streams"] == []
    for stream in routed.streams:
        if stream.kind == "activations" and "layer4," in stream.name:
            cycles = math.ceil(stream.frame / MAU.flit_activations) * MAU.slots / len(stream.slots)
            assert cycles <= 512  # about half a pass of the cores that take the frames
        elif stream.name.startswith("outputs"):
            assert len(stream.slots) >= MAU.slots * (MAU.row_lanes / 4) / MAU.flit_activations
        elif stream.name.startswith("layer"):
            assert len(stream.slots) >= MAU.slots * MAU.row_lanes / MAU.flit_activations


@pytest.mark.parametrize(
    ("hidden", "mapping", "row_groups"),
    [
        (768, "paper", (3, 3, 6, 3)),
        (384, "paper", (3, 3, 6, 3)),
        (128, "paper", (2, 2, 4, 3)),
        pytest.param(768, "interleaved", (2, 3, 6, 7), marks=pytest.mark.slow),
        pytest.param(384, "interleaved", (2, 3, 5, 7), marks=pytest.mark.slow),
    ],
)
def test_small_networks_with_many_short_chains(
    hidden: int, mapping: Mapping, row_groups: tuple[int, ...]
) -> None:
    routed = route(placed_plan(deepspeech(hidden), MAU, mapping, row_groups))
    assert _replay(routed) > 0


def test_one_wide_layer_on_33_cores() -> None:
    network = Graph((Linear("layer1", 2560, 7680),))
    routed = route(placed_plan(network, TARGETS["deepbench"], "paper", (11,)))
    assert _replay(routed) > 0
    tails = {chain.cores[-1] for chain in routed.chains}
    to_host = [one for one in routed.streams if one.kind == "activations" and one.source != HOST]
    assert {one.source for one in to_host} == tails
    assert all([sink.core for sink in one.sinks] == [HOST] for one in to_host)


@pytest.mark.parametrize(
    ("config", "mapping", "row_groups", "bidirectional"),
    [
        (TINY, "interleaved", (2, 1), True),
        (TINY, "interleaved", (1, 1), True),
        (TINY, "paper", (2, 1), False),
        (replace(TINY, grid_rows=3, cores=6), "paper", (2, 1), True),
    ],
)
def test_tiny_networks(
    config: AcceleratorConfig, mapping: Mapping, row_groups: tuple[int, ...], bidirectional: bool
) -> None:
    network = tiny_network(40, 64, 16, bidirectional=bidirectional)
    routed = route(placed_plan(network, config, mapping, row_groups))
    assert _replay(routed) > 0
    assert len(routed.sequences) == row_groups[0]


def test_same_plan_same_circuits() -> None:
    one, other = (route(full_size(MAU, "interleaved")) for _ in range(2))
    assert one.streams == other.streams


def test_ways_of_the_recurrence_are_short() -> None:
    routed = route(full_size(MAU, "paper"))
    for stream in routed.streams:
        if stream.name.startswith("outputs"):
            row, column = routed.places[stream.source]
            for sink in stream.sinks:
                if sink.core != HOST:
                    other_row, other_column = routed.places[sink.core]
                    least = abs(row - other_row) + abs(column - other_column)
                    assert sink.hops <= least + 4


def test_wheel_with_too_few_slots_is_named() -> None:
    config = replace(MAU, slots=4)
    with pytest.raises(
        CompileError,
        match=r"overloaded: (\d+) streams .*, \1 in all, of a wheel of 4; set slots = 8 .*--config",
    ):
        route(placed_plan(deepspeech(384), config, "paper", (3, 3, 6, 3)))


def test_frame_larger_than_the_sequence_memory_is_named() -> None:
    config = replace(TINY, sequence_bytes=63)
    with pytest.raises(CompileError, match=r"layer1: a frame of 64 outputs .* 63 bytes.*--config"):
        route(placed_plan(tiny_network(40, 64, 16), config, "interleaved", (2, 1)))


def test_chains_off_the_path_are_named() -> None:
    plan = placed_plan(tiny_network(40, 64, 16), TINY, "interleaved", (2, 1))
    crossed = replace(plan, places=((0, 1), (1, 0), (0, 0), (1, 1)))
    with pytest.raises(CompileError, match="no neighbours"):
        route(crossed)


def test_circuits_are_checked_after_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def first_slots_for_all(self: CircuitSearch) -> tuple[Circuit, ...]:
        return tuple(replace(one, slots=one.slots & -one.slots) for one in found(self))

    def all_slots_for_all(self: CircuitSearch) -> tuple[Circuit, ...]:
        return tuple(replace(one, slots=2**TINY.slots - 1) for one in found(self))

    found = CircuitSearch.run
    plan = placed_plan(tiny_network(40, 64, 16), TINY, "interleaved", (2, 1))
    monkeypatch.setattr(CircuitSearch, "run", first_slots_for_all)
    assert _replay(route(plan)) > 0
    monkeypatch.setattr(CircuitSearch, "run", all_slots_for_all)
    with pytest.raises(CompileError, match="both hold slot"):
        route(plan)
