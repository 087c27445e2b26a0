from __future__ import annotations

import itertools
import operator
from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator import Accelerator
from sparsespeech.accelerator_config import TARGETS
from sparsespeech.backend import load_backend
from sparsespeech.compiler.layer_demand import (
    LayerDemand,
    layer_demand,
    words_without_pattern,
)
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.passes.allocate_cores import (
    add_row_groups,
    cores_of,
    fewest_row_groups,
)
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.features.mfcc import MfccConfig
from sparsespeech.graph import Graph, Linear, Lstm, Output, deepspeech
from sparsespeech.model_file.model import SparseMatrix
from tests.accelerator_plans import mapped, model_of_shapes
from tests.placed_plans import most_used_port, placed_plan
from tests.random_models import random_model_of_graph, random_sparse_matrix, sparse_from_dense

MAU = TARGETS["mau-stratix10"]
TINY = TARGETS["tiny"]


def cores_of_layers(plan) -> dict[str, int]:
    return {
        name: len({core for chain in plan.chains if chain.layer == name for core in chain.cores})
        for name in plan.accelerated
    }


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_deepspeech_gets_the_cores_of_table_2(mapping: Mapping) -> None:
    plan = mapped(model_of_shapes(deepspeech(2048)), MAU, mapping)
    assert cores_of_layers(plan) == {"layer1": 2, "layer2": 4, "layer3": 4, "layer4": 24}
    steps = {chain.row_groups for chain in plan.chains if chain.layer == "layer4"}
    assert steps == ({1024} if mapping == "paper" else {512})


def test_a_full_matrix_gets_the_row_groups_that_its_words_need() -> None:
    """64 weights of 64 columns are 16 words of 4 a row: 256 rows need 4096 words of a stream.

    One lane of four holds 64 rows, so 1024 words fit one core and 1023 do not.
    """
    graph = Graph((Linear("layer1", 1024, 256), Output("output", 256, 4)))
    model = model_of_shapes(graph, lambda r, c: sparse_from_dense(np.ones((r, c), dtype=int)))
    one_core = replace(MAU, grid_rows=1, grid_columns=1, cores=1)
    assert mapped(model, one_core, "paper").row_groups == {"layer1": 1}
    smaller = replace(MAU, grid_rows=1, grid_columns=2, cores=2, weight_words=1023)
    assert mapped(model, smaller, "paper").row_groups == {"layer1": 2}
    with pytest.raises(CompileError, match="needs 2 cores"):
        mapped(model, replace(one_core, weight_words=1023), "paper")


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("hidden", [8, 64, 200])
def test_small_models_are_not_spread_too_thin(hidden: int, mapping: Mapping) -> None:
    plan = mapped(model_of_shapes(deepspeech(hidden)), MAU, mapping)
    for chain in plan.chains:
        assert plan.row_groups[chain.layer] == 1 or chain.row_groups >= MAU.slots


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("hidden", [200, 384, 512, 768])
def test_every_core_that_helps_is_used(hidden: int, mapping: Mapping) -> None:
    """A slow layer gets no more row groups for want of cores, frames, steps or slots alone."""
    graph = deepspeech(hidden)
    demands = [layer_demand(layer, mapping) for layer in graph.layers[:4]]
    words = words_without_pattern(MAU)
    groups = add_row_groups(demands, fewest_row_groups(demands, MAU, words), MAU, words)
    assert most_used_port(placed_plan(graph, MAU, mapping, tuple(groups.values()))) <= MAU.slots
    left = MAU.cores - cores_of(demands, groups, MAU)
    cycles = {demand.layer: demand.pass_cycles(groups[demand.layer], MAU) for demand in demands}
    for demand in demands:
        more = {**groups, demand.layer: groups[demand.layer] + 1}
        if 3 * cycles[demand.layer] < max(cycles.values()) or demand.cores(1, MAU) > left:
            continue
        if more[demand.layer] * MAU.slots > demand.steps(MAU):
            continue
        step = cycles[demand.layer] / demand.directions_of_core + 48 * (demand is demands[-1])
        if demand is not demands[0] and max(cycles[demand.layer], step) <= arrival(demand):
            continue
        larger = replace(MAU, grid_columns=9, cores=45)
        plan = placed_plan(graph, larger, mapping, tuple(more.values()))
        assert most_used_port(plan) > MAU.slots, (demand.layer, groups)


def arrival(demand: LayerDemand) -> int:
    """Cycles of a frame with a flit of 8 activations in each."""
    return demand.directions_of_core * -(-demand.shapes[0].columns // 8)


def test_a_layer_is_no_faster_than_its_frames() -> None:
    """4,096 activations take 512 cycles; a layer of 512 steps and 128 of loading gets no more."""
    layers = (Linear("first", 26, 4096), Linear("second", 4096, 2048))
    demands = [layer_demand(layer, "paper") for layer in layers]
    words = words_without_pattern(MAU)
    groups = add_row_groups(demands, {"first": 1, "second": 1}, MAU, words)
    assert demands[1].arrival_cycles(MAU) == 512
    # 512 steps in one row group and 32 of loading; in two, 256 and 32 are less than 512.
    assert groups["second"] == 2
    both = layer_demand(Lstm("lstm", 4096, 8), "interleaved")
    assert both.arrival_cycles(MAU) == 2 * 512


@pytest.mark.parametrize(("columns", "groups"), [(608, 4), (1024, 2)])
def test_a_step_of_an_lstm_lasts_until_its_results_are_back(columns: int, groups: int) -> None:
    """64 cells: 64 / groups steps and the load, then 48 cycles; a frame takes columns / 8."""
    demands = [layer_demand(Linear("first", 26, columns), "paper")]
    demands.append(layer_demand(Lstm("lstm", columns, 64, bidirectional=False), "paper"))
    # window 8, tree 4 + 1 + 1, requantize and cell 6 + 22, flit, inject, hop 2, eject, staging
    assert [demand.return_cycles(MAU) for demand in demands] == [0, 8 + 6 + 28 + 6]
    words = words_without_pattern(MAU)
    found = add_row_groups(demands, {"first": 1, "lstm": 1}, MAU, words)
    assert found["lstm"] == groups


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_credits_leave_the_results_of_a_small_model_their_slots(
    mapping: Mapping,
) -> None:
    """Together they would be more than the host's link has slots."""
    graph = Graph((Linear("layer1", 494, 384), Lstm("layer2", 384, 384), Output("output", 768, 4)))
    groups = mapped(model_of_shapes(graph), MAU, mapping).row_groups
    results = 2 * groups["layer2"] * (2 if mapping == "paper" else 1)
    assert groups["layer1"] <= 16
    assert results == 16
    assert groups["layer1"] + results > 16


def test_results_may_be_given_a_share_of_the_slots() -> None:
    demands = [layer_demand(Lstm("lstm", 64, 384), "interleaved")]
    words = words_without_pattern(MAU)
    fewest = fewest_row_groups(demands, MAU, words)
    groups = [add_row_groups(demands, fewest, MAU, words, share) for share in (1.0, 0.75, 0.5)]
    assert [entry["lstm"] for entry in groups] == [8, 6, 4]


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_a_small_model_on_many_cores_computes_the_same_bits(mapping: Mapping) -> None:
    """Results of the LSTM in three quarters of the slots of the host's port or more."""
    rng = np.random.default_rng(3)
    features = MfccConfig(coefficients=13, context=1)
    graph = Graph((Linear("layer1", 39, 256), Lstm("layer2", 256, 128), Output("output", 256, 5)))
    model = random_model_of_graph(rng, graph, features, sparsity=0.8)
    program = lower(model, MAU, mapping)
    tails = {
        program.tasks[chain.tasks[-1]].core for chain in program.chains if chain.role == "recurrent"
    }
    assert len(tails) >= 3 * MAU.slots // 8
    windows = [rng.integers(0, 256, (frames, 39)).astype(np.uint8) for frames in (4, 2)]
    run = Accelerator(program, host_backend="reference").run(windows, in_flight=2)
    reference = load_backend("reference")(model)
    for found, window in zip(run.logits, windows, strict=True):
        assert np.array_equal(found, reference.run(window))


def test_deepbench_uses_all_its_cores() -> None:
    """S2's Table VI: 7680 x 2560 as 3 column slices of 11 row groups."""
    graph = Graph((Linear("product", 2560, 7680), Output("output", 7680, 4)))
    plan = mapped(model_of_shapes(graph), TARGETS["deepbench"], "paper")
    assert plan.row_groups == {"product": 11}
    assert cores_of_layers(plan) == {"product": 33}


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("hidden", [200, 384, 768, 1024, 2048])
def test_no_other_allocation_has_a_shorter_slowest_pass(hidden: int, mapping: Mapping) -> None:
    """Brute force over all row groups that cores, steps and the link to the host allow."""
    demands = [layer_demand(layer, mapping) for layer in deepspeech(hidden).layers[:4]]
    words = words_without_pattern(MAU)
    fewest = fewest_row_groups(demands, MAU, words)
    groups = add_row_groups(demands, fewest, MAU, words)

    def slowest(numbers: tuple[int, ...]) -> int:
        pairs = zip(demands, numbers, strict=True)
        return max(  # of layers behind the first no faster than their frames arrive
            max(demand.pass_cycles(number, MAU), arrival(demand) * (demand is not demands[0]))
            for demand, number in pairs
        )

    cores = [demand.cores(1, MAU) for demand in demands]
    choices = []
    for demand, each in zip(demands, cores, strict=True):
        most = max(fewest[demand.layer], min(34 // each, demand.steps(MAU) // 16))
        choices.append(range(fewest[demand.layer], most + 1))
    tails = 2 if mapping == "paper" else 1  # that send outputs, a row group; 2 slots each
    # Credits of the layers: 16 at most, on wires of their own.
    allowed = (
        numbers
        for numbers in itertools.product(*choices)
        if sum(map(operator.mul, numbers, cores)) <= 34
        and max(numbers) <= 16
        and 2 * tails * numbers[-1] <= 16
    )
    assert slowest(tuple(groups.values())) == min(map(slowest, allowed))


def test_too_large_names_matrix_need_limit_and_the_target_that_would_do() -> None:
    with pytest.raises(CompileError) as caught:
        mapped(model_of_shapes(deepspeech(384)), TINY, "paper")
    message = str(caught.value)
    assert "needs 92 cores (layer1 " in message
    assert "tiny has 4" in message
    assert "layer4.forward.input_weights, 1536 x 768 with 0.0% nonzeros" in message
    assert "256 words" in message
    assert "It fits --target mau-stratix10 and --target deepbench" in message


def test_too_large_for_every_target_names_what_helps() -> None:
    with pytest.raises(CompileError, match="It fits no target") as caught:
        mapped(model_of_shapes(deepspeech(4096)), MAU, "interleaved")
    assert "--host-layers" in str(caught.value)
    assert "--config" in str(caught.value)


def test_a_row_that_no_memory_holds_is_named() -> None:
    def full(rows: int, columns: int) -> SparseMatrix:
        return random_sparse_matrix(np.random.default_rng(1), (rows, columns), 0.0)

    graph = Graph((Linear("layer1", 64, 4), Output("output", 4, 4)))
    shallow = replace(TINY, weight_words=8)
    with pytest.raises(CompileError, match=r"layer1\.weights: a single step .* tiny stores 8"):
        mapped(model_of_shapes(graph, full), shallow, "paper")


@pytest.mark.parametrize(("weights", "groups"), [((1, 0), (2, 1)), ((0, 1), (1, 2))])
def test_a_layer_with_many_weights_counts_as_slow_as_its_words_are(
    weights: tuple[int, int], groups: tuple[int, int]
) -> None:
    """Two layers of 64 steps on three cores; the full one needs 4 words a step."""
    layers = (Linear("first", 256, 256), Linear("second", 256, 256), Output("output", 256, 4))
    values = iter((*weights, 0))

    def matrix(rows: int, columns: int) -> SparseMatrix:
        return sparse_from_dense(np.full((rows, columns), next(values)))

    plan = mapped(model_of_shapes(Graph(layers), matrix), replace(MAU, cores=3), "paper")
    assert tuple(plan.row_groups.values()) == groups
