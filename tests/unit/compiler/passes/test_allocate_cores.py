from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.layer_demand import layer_demand, words_without_pattern
from sparsespeech.compiler.passes.allocate_cores import (
    add_row_groups,
    fewest_row_groups,
    streams_of_host,
)
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Linear, Output, deepspeech
from sparsespeech.model_file.model import SparseMatrix
from tests.accelerator_plans import mapped, model_of_shapes
from tests.random_models import random_sparse_matrix, sparse_from_dense

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
    tails = {
        chain.cores[-1]
        for chain in plan.chains
        if chain.layer == "layer1" or chain.role == "recurrent"
    }
    assert len(tails) <= MAU.slots


def test_the_port_of_the_host_limits_the_row_groups() -> None:
    few = replace(MAU, slots=4)
    demands = [layer_demand(layer, "paper") for layer in deepspeech(768).layers[:4]]
    words = words_without_pattern(few)
    fewest = fewest_row_groups(demands, few, words)
    groups = add_row_groups(demands, fewest, few, words)
    assert groups["layer1"] + 2 * groups["layer4"] <= 4
    assert streams_of_host(demands, groups) == groups["layer1"] + 2 * groups["layer4"]


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("hidden", [384, 768])
def test_cores_left_over_could_not_have_made_the_slowest_layer_faster(
    hidden: int, mapping: Mapping
) -> None:
    demands = [layer_demand(layer, mapping) for layer in deepspeech(hidden).layers[:4]]
    words = words_without_pattern(MAU)
    fewest = fewest_row_groups(demands, MAU, words)
    groups = add_row_groups(demands, fewest, MAU, words)
    left = MAU.cores - sum(demand.cores(groups[demand.layer], MAU) for demand in demands)
    assert left >= 0
    slowest = max(demands, key=lambda demand: demand.pass_cycles(groups[demand.layer], MAU))
    assert left < slowest.cores(1, MAU)


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
@pytest.mark.parametrize("hidden", [384, 768, 1024, 2048])
def test_no_other_allocation_has_a_shorter_slowest_pass(hidden: int, mapping: Mapping) -> None:
    """Brute force over the passes that any layer can take, with the cores that each needs."""
    demands = [layer_demand(layer, mapping) for layer in deepspeech(hidden).layers[:4]]
    words = words_without_pattern(MAU)
    fewest = fewest_row_groups(demands, MAU, words)
    groups = add_row_groups(demands, fewest, MAU, words)
    found = max(demand.pass_cycles(groups[demand.layer], MAU) for demand in demands)

    def cores_for(limit: int) -> int:
        total = 0
        for demand in demands:
            enough = next(
                (
                    count
                    for count in range(fewest[demand.layer], 200)
                    if demand.pass_cycles(count, MAU) <= limit
                ),
                1000,
            )
            total += demand.cores(enough, MAU)
        return total

    assert cores_for(found) <= MAU.cores
    assert cores_for(found - 1) > MAU.cores


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
