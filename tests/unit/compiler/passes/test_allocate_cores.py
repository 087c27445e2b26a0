from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.layer_demand import layer_demand, words_without_pattern
from sparsespeech.compiler.passes.allocate_cores import add_row_groups, fewest_row_groups
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


def test_no_layer_gets_more_row_groups_than_it_has_steps() -> None:
    plan = mapped(model_of_shapes(deepspeech(8)), MAU, "paper")
    assert plan.row_groups == {"layer1": 2, "layer2": 2, "layer3": 4, "layer4": 6}
    assert sum(cores_of_layers(plan).values()) == 2 + 2 + 4 + 24


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
    assert 0 <= left < min(demand.cores(1, MAU) for demand in demands)


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
