"""Who sends to whom, checked against the columns that each core holds."""

from __future__ import annotations

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.connections import Connections, connections_of
from sparsespeech.compiler.ir import ChainPlan, Plan
from sparsespeech.compiler.program import HOST, Mapping
from sparsespeech.graph import Graph, Lstm, deepspeech
from tests.placed_plans import full_size, placed_plan, tiny_network

MAU = TARGETS["mau-stratix10"]


def _outputs(chain: ChainPlan) -> set[int]:
    return set(range(chain.first_output, chain.first_output + chain.outputs))


def _received(plan: Plan, found: Connections, core: int, producers: list[int]) -> set[int]:
    """Outputs of ``producers`` that reach a core to be stored."""
    columns: set[int] = set()
    for number in producers:
        connection = found.connections[found.output_streams[number]]
        if core in connection.sinks:
            columns |= _outputs(plan.chains[number])
    return columns


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_every_core_gets_the_columns_that_it_holds(mapping: Mapping) -> None:
    plan = full_size(MAU, mapping)
    found = connections_of(plan)
    feeding = {"layer2": "layer1", "layer3": "layer2"}
    for chain in plan.chains:
        if chain.role == "recurrent":
            producers = [
                n
                for n, other in enumerate(plan.chains)
                if other.role == "recurrent" and other.direction == chain.direction
            ]
        else:
            before = feeding.get(chain.layer)
            producers = [n for n, other in enumerate(plan.chains) if other.layer == before]
        for core, (first, last) in zip(chain.cores, chain.slices, strict=True):
            if producers:
                assert set(range(first, last)) <= _received(plan, found, core, producers)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_sequences_feed_input_cores_and_each_recurrent_core_has_heads_once(
    mapping: Mapping,
) -> None:
    plan = full_size(MAU, mapping)
    found = connections_of(plan)
    for direction in ("forward", "backward"):
        heads: list[int] = []
        stored: dict[int, set[int]] = {}
        for sequence in found.sequences:
            for stream, order in zip(sequence.streams, sequence.directions, strict=True):
                if order in (direction, "both"):
                    connection = found.connections[stream]
                    heads += connection.heads
                    for core in set(connection.sinks) - set(connection.heads):
                        stored.setdefault(core, set()).update(_outputs(plan.chains[sequence.chain]))
        same = [chain for chain in plan.chains if chain.direction == direction]
        recurrent = [chain for chain in same if chain.role == "recurrent"]
        assert sorted(heads) == sorted(core for chain in recurrent for core in chain.cores)
        for chain in same:
            if chain.role == "gate_input":
                for core, (first, last) in zip(chain.cores, chain.slices, strict=True):
                    assert set(range(first, last)) <= stored[core]


def test_interleaved_directions_share_streams_and_take_turns() -> None:
    plan = full_size(MAU, "interleaved")
    found = connections_of(plan)
    tails = {chain.cores[-1] for chain in plan.chains if chain.role == "recurrent"}
    assert len({one for one in found.connections if one.in_loop}) == len(tails) == 4
    orders = [one for one in found.connections if one.kind == "order"]
    sequence_tails = [plan.chains[sequence.chain].cores[-1] for sequence in found.sequences]
    assert [(one.source, one.sinks) for one in orders] == [
        (sequence_tails[0], (sequence_tails[1],))
    ]
    for sequence in found.sequences:
        assert found.connections[sequence.order_stream or 0].kind == "order"


def test_paper_mapping_has_no_turns() -> None:
    found = connections_of(full_size(MAU, "paper"))
    assert all(sequence.order_stream is None for sequence in found.sequences)
    assert all(sequence.directions == ("forward", "backward") for sequence in found.sequences)
    assert {sequence.frames for sequence in found.sequences} == {MAU.sequence_bytes // 4096}


def test_credits_go_back_to_the_sources_of_the_frames() -> None:
    plan = full_size(MAU, "paper")
    found = connections_of(plan)
    tail = {chain.name: chain.cores[-1] for chain in plan.chains}
    credits = {one.source: one.sinks for one in found.connections if one.kind == "credits"}
    assert credits[tail["layer1.0"]] == (HOST,)
    assert credits[tail["layer2.1"]] == (tail["layer1.0"], tail["layer1.1"])
    assert credits[tail["layer4.backward.input.0"]] == (tail["layer3.0"], tail["layer3.1"])
    recurrent = {chain.cores[-1] for chain in plan.chains if chain.role == "recurrent"}
    assert not recurrent & set(credits)


def test_sums_go_to_the_next_core_of_the_chain() -> None:
    plan = full_size(MAU, "paper")
    sums = {
        (one.source, one.sinks[0])
        for one in connections_of(plan).connections
        if one.kind == "partial_sums"
    }
    expected = {
        pair for chain in plan.chains for pair in zip(chain.cores, chain.cores[1:], strict=False)
    }
    assert sums == expected


def test_host_feeds_an_lstm_without_a_linear_layer() -> None:
    network = Graph((Lstm("layer1", 64, 16),))
    plan = placed_plan(network, TARGETS["tiny"], "paper", (1,))
    found = connections_of(plan)
    feeds = [one for one in found.connections if one.source == HOST]
    assert [one.sinks for one in feeds] == [(0, 1), (2, 3)]
    assert [one.heads for one in feeds] == [(1,), (3,)]
    assert found.sequences == []


def test_outputs_of_a_last_linear_layer_go_to_the_host() -> None:
    plan = placed_plan(deepspeech(384), MAU, "paper", (1, 2))
    found = connections_of(plan)
    last = [found.connections[found.output_streams[n]] for n in (1, 2)]
    assert [one.sinks for one in last] == [(HOST,), (HOST,)]


def test_unidirectional_networks_have_forward_streams_only() -> None:
    plan = placed_plan(
        tiny_network(40, 64, 16, bidirectional=False), TARGETS["tiny"], "interleaved", (2, 1)
    )
    found = connections_of(plan)
    assert [sequence.directions for sequence in found.sequences] == [("forward",)] * 2
    assert not [one for one in found.connections if one.kind == "order"]


def test_no_core_gets_a_stream_that_it_does_not_need() -> None:
    plan = full_size(MAU, "paper")
    found = connections_of(plan)
    for number, stream in found.output_streams.items():
        chain = plan.chains[number]
        held = {
            core: set(range(*columns))
            for other in plan.chains
            if (other.layer, other.direction) != (chain.layer, "")
            for core, columns in zip(other.cores, other.slices, strict=True)
        }
        if chain.role == "linear":
            for core in found.connections[stream].sinks:
                assert held[core] & _outputs(chain)
