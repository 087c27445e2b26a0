"""Row groups that find slots at every port: held against the streams that the router is given."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.layer_demand import layer_demand
from sparsespeech.compiler.port_limit import most_row_groups
from sparsespeech.compiler.program import Mapping
from sparsespeech.graph import Graph, Layer, Linear, Lstm, deepspeech
from tests.placed_plans import most_used_port, placed_plan

BIG = replace(TARGETS["mau-stratix10"], grid_rows=20, grid_columns=20, cores=400)
WIDE = 400  # outputs of a layer: enough steps for any number of row groups below


@st.composite
def networks(draw: st.DrawFn) -> tuple[tuple[Layer, ...], AcceleratorConfig, Mapping]:
    layers: list[Layer] = [
        Linear(f"layer{number}", WIDE, WIDE) for number in range(draw(st.integers(0, 3)))
    ]
    if not layers or draw(st.booleans()):
        layers.append(Lstm("lstm", WIDE, WIDE, draw(st.booleans())))
    config = replace(
        BIG,
        slots=draw(st.sampled_from([4, 8, 16])),
        row_lanes=draw(st.sampled_from([4, 8])),
        flit_bits=208,
        flit_activations=draw(st.sampled_from([4, 8])),
    )
    return tuple(layers), config, draw(st.sampled_from(["paper", "interleaved"]))


@settings(max_examples=60)
@given(networks(), st.data())
def test_one_row_group_more_needs_more_slots_than_a_port_has(
    network: tuple[tuple[Layer, ...], AcceleratorConfig, Mapping], data: st.DataObject
) -> None:
    layers, config, mapping = network
    most = most_row_groups([layer_demand(layer, mapping) for layer in layers], config)
    groups = [
        data.draw(st.integers(min(2, most[layer.name]), most[layer.name])) for layer in layers
    ]
    assume(min(groups) > 0)
    assert (
        most_used_port(placed_plan(Graph(layers), config, mapping, tuple(groups))) <= config.slots
    )
    grown = data.draw(st.integers(0, len(layers) - 1))
    groups[grown] = most[layers[grown].name] + 1
    assert most_used_port(placed_plan(Graph(layers), config, mapping, tuple(groups))) > config.slots


def test_credits_and_results_do_not_share_slots() -> None:
    """16 slots: 16 credits of layer 1 go to the host beside 8 streams of 2 slots each."""
    mau = TARGETS["mau-stratix10"]
    layers = deepspeech(2048).layers[:4]
    most = most_row_groups([layer_demand(layer, "paper") for layer in layers], mau)
    assert most == {"layer1": 16, "layer2": 16, "layer3": 16, "layer4": 4}
    most = most_row_groups([layer_demand(layer, "interleaved") for layer in layers], mau)
    assert most == {"layer1": 16, "layer2": 16, "layer3": 16, "layer4": 8}


def test_the_host_reads_both_directions() -> None:
    """A recurrent core hears one direction; of an LSTM that is not the last, nobody hears both."""
    first, last = Lstm("first", 64, 64), Lstm("last", 128, 64)
    demands = [layer_demand(layer, "paper") for layer in (first, last)]
    mau = TARGETS["mau-stratix10"]
    assert most_row_groups(demands, mau) == {"first": 8, "last": 4}
    # Half the slots: a result needs one instead of two, a credit of each direction one as before.
    assert most_row_groups(demands, replace(mau, slots=8)) == {"first": 4, "last": 4}
