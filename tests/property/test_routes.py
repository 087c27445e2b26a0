"""Random networks on random grids: the circuits keep every promise, or the error says why not."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig, StageDepths
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.passes.route import route
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Linear, Lstm
from tests.placed_plans import placed_plan
from tests.stepped_network import replay


@st.composite
def configs(draw: st.DrawFn) -> AcceleratorConfig:
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    return replace(
        TARGETS["tiny"],
        grid_rows=rows,
        grid_columns=columns,
        cores=draw(st.integers(max(2, rows * columns - 2), rows * columns)),
        slots=draw(st.sampled_from([8, 16, 32])),
        flit_activations=draw(st.sampled_from([4, 8])),
        stages=StageDepths(hop=draw(st.sampled_from([1, 2, 2, 3, 4]))),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    config = draw(configs())
    widths = draw(st.lists(st.sampled_from([24, 64, 100]), min_size=1, max_size=4))
    layers: list[Linear | Lstm] = [
        Linear(f"layer{n + 1}", *pair) for n, pair in enumerate(itertools.pairwise(widths))
    ]
    if not layers or draw(st.booleans()):
        bidirectional = draw(st.booleans())
        layers.append(Lstm("lstm", widths[-1], draw(st.sampled_from([8, 24])), bidirectional))
    mapping = draw(st.sampled_from(["paper", "interleaved"]))
    groups = tuple(draw(st.integers(1, 3)) for _ in layers)
    try:
        return placed_plan(Graph(tuple(layers)), config, mapping, groups)
    except CompileError:  # more cores than there are
        assume(False)
        raise


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(plans())
def test_every_flit_arrives_when_promised(plan: Plan) -> None:
    try:
        routed = route(plan)
    except CompileError as error:
        needed = re.search(r"overloaded: (\d+) streams .*, \1 in all, of a wheel of", str(error))
        assert needed is not None, error  # whatever fits the ports finds circuits
        assert int(needed[1]) > plan.config.slots
        assert "slots = " in str(error)
        return
    recurrent = {core for chain in plan.chains if chain.role == "recurrent" for core in chain.cores}
    assert replay(routed.streams, plan.places, plan.config, recurrent) > 0
