from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.benchmarks.random_matrices import random_matrix
from sparsespeech.compiler.layer_shapes import matrix_shapes
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.metrics import ProgramMetrics
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.program import HOST, Link, Mapping, Program, Sink, Stream
from sparsespeech.compiler.stream_graph import LinkLoad, link_loads
from sparsespeech.graph import Graph, Linear, Output, deepspeech
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.reader import read_model
from tests.accelerator_plans import connected, mapped, model_of_shapes
from tests.random_models import sparse_from_dense

MAU = TARGETS["mau-stratix10"]


def compiled(graph: Graph, mapping: Mapping = "paper", config: AcceleratorConfig = MAU) -> Program:
    return assemble(connected(mapped(model_of_shapes(graph), config, mapping)))


@pytest.fixture(scope="module", params=["paper", "interleaved"])
def deepspeech_metrics(request: pytest.FixtureRequest) -> ProgramMetrics:
    return compiled(deepspeech(2048), request.param).metrics()


def test_table_2(deepspeech_metrics: ProgramMetrics) -> None:
    rows = [(row.cores, round(100 * row.efficiency, 2)) for row in deepspeech_metrics.layers]
    assert rows == [(2, 12.5), (4, 25.0), (4, 50.0), (24, 100.0)]
    assert deepspeech_metrics.cores == deepspeech_metrics.cores_used == 34
    assert int(1000 * deepspeech_metrics.total_efficiency) / 10 == 80.1
    kinds = [row.kind for row in deepspeech_metrics.layers]
    assert kinds == ["fully connected"] * 3 + ["bidirectional LSTM"]


def test_peak_and_effective_throughput(deepspeech_metrics: ProgramMetrics) -> None:
    assert round(deepspeech_metrics.peak_tops, 1) == 69.6
    assert round(deepspeech_metrics.peak_tops_with_loads, 1) == 67.5
    weights = 494 * 2048 + 2048 * 2048 + 2048 * 4096 + 2 * 8192 * (4096 + 2048)
    assert deepspeech_metrics.weights == weights
    cycles = {"paper": 1024 + 32, "interleaved": 2 * (512 + 32)}[deepspeech_metrics.mapping]
    assert deepspeech_metrics.cycles_per_frame == cycles
    assert deepspeech_metrics.effective_tops == pytest.approx(2 * weights * 250e6 / cycles / 1e12)
    if deepspeech_metrics.mapping == "paper":
        assert deepspeech_metrics.effective_tops == pytest.approx(54.0, rel=0.01)


def test_words_and_memory_of_a_matrix_counted_by_hand() -> None:
    """16 rows of 64 columns with all 64 weights, on one core of 2 windows of 32, 2 a word."""
    config = replace(TARGETS["tiny"], grid_rows=1, cores=2)
    graph = Graph((Linear("layer1", 64, 16), Output("output", 16, 4)))
    model = model_of_shapes(graph, lambda r, c: sparse_from_dense(np.ones((r, c), dtype=int)))
    plan = mapped(model, replace(config, grid_columns=1, cores=1), "paper")
    metrics = assemble(connected(plan)).metrics()
    # A row has 32 weights in each window: 16 words; 4 rows a lane; 4 lanes of 2 windows.
    assert metrics.words == 16 * 4 * 4 * 2
    assert metrics.deepest_stream == 64
    assert metrics.memory_words == 256 * 4 * 2
    assert metrics.memory_used == 0.25
    assert metrics.entries_filled == 1.0
    assert metrics.packing_ratio == 16.0
    assert metrics.cycles_per_frame == 64 + 64 // 4
    assert metrics.nonzeros == metrics.weights == 1024
    assert metrics.real_tops == metrics.effective_tops == 2 * 1024 * 100e6 / 80 / 1e12
    (row,) = metrics.layers
    assert (row.steps, row.cycles_per_frame, row.packing_ratio) == (4, 80, 16.0)
    assert row.efficiency == 16 * 64 / (4 * 256 * 64)


def test_a_second_bank_hides_loads() -> None:
    metrics = compiled(deepspeech(2048), config=replace(MAU, double_buffered=True)).metrics()
    assert metrics.cycles_per_frame == 1024


def test_cores_without_a_layer_count_in_the_total() -> None:
    metrics = compiled(Graph((Linear("layer1", 1024, 64), Output("output", 64, 4)))).metrics()
    assert metrics.cores_used == 1
    assert metrics.total_efficiency == pytest.approx(metrics.layers[0].efficiency / 34)


def test_the_busiest_link_is_that_of_the_streams() -> None:
    program = compiled(Graph((Linear("layer1", 64, 64), Output("output", 64, 4))))
    links = (Link((0, 0), (0, 0), (5,)), Link((0, 0), (0, 1), (2, 3)))
    stream = Stream("frames", "activations", HOST, (Sink(0, 1),), (5,), links)
    metrics = replace(program, streams=(stream,)).metrics()
    assert metrics.links == link_loads((stream,))
    assert metrics.busiest_link == LinkLoad((0, 0), (0, 1), False, 2, 1)


def test_the_figures_are_plain_json() -> None:
    metrics = compiled(deepspeech(64)).metrics()
    values = json.loads(json.dumps(metrics.to_json()))
    assert values["layers"][3]["layer"] == "layer4"
    assert values["memory_used"] == metrics.memory_used
    assert values["busiest_link"] is None  # its streams have no links


@pytest.mark.slow
@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_random_weights_of_96_percent_keep_table_2_and_the_throughput(mapping: Mapping) -> None:
    rng = np.random.default_rng(1)
    model = model_of_shapes(
        deepspeech(2048), lambda r, c: random_matrix(rng, (r, c), 0.04, "unstructured")
    )
    metrics = assemble(connected(mapped(model, MAU, mapping))).metrics()
    assert [row.cores for row in metrics.layers] == [2, 4, 4, 24]
    assert metrics.deepest_stream <= MAU.weight_words
    assert metrics.packing_ratio == 1.0  # two short rows share a word: no window falls behind
    if mapping == "paper":
        assert metrics.effective_tops == pytest.approx(54.0, rel=0.01)


def test_a_trained_model_lies_on_the_grid() -> None:
    model = read_model(resolve_model("english-small"))
    metrics = assemble(connected(mapped(model, MAU, "interleaved"))).metrics()
    assert metrics.cores_used <= 34
    assert metrics.deepest_stream <= MAU.weight_words
    assert metrics.nonzeros == sum(
        matrix_of(model, shape.name).nonzeros
        for layer in model.graph.layers[:4]
        for shape in matrix_shapes(layer)
    )
    assert metrics.packing_ratio >= 1.0
