from __future__ import annotations

import json

import pytest

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.compiler.mapping_report import map_graph
from sparsespeech.compiler.passes.assemble import assemble
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.graph import Conv2d, Graph, Layer, Lstm, Output, deepspeech, lstmp
from tests.accelerator_plans import connected, mapped, model_of_shapes


def deepspeech2() -> Graph:
    """The network of the ESE/DDESE deck: 672 features, five summed bidirectional LSTMs of 800."""
    layers: list[Layer] = [Conv2d("conv1", 1, 32, (11, 41), (2, 2), (5, 20))]
    width = 672
    for number in range(5):
        layers.append(Lstm(f"lstm{number + 1}", width, 800, merge="sum"))
        width = 800
    return Graph((*layers, Output("output", 800, 29)))


@pytest.mark.parametrize("mapping", ["paper", "interleaved"])
def test_shapes_alone_give_the_figures_of_a_program(mapping: Mapping) -> None:
    config = TARGETS["mau-stratix10"]
    report = map_graph(deepspeech(2048), config, mapping)
    metrics = assemble(
        connected(mapped(model_of_shapes(deepspeech(2048)), config, mapping))
    ).metrics()
    assert report.fits
    assert [(row.layer, row.kind, row.cores, row.efficiency) for row in report.layers] == [
        (row.layer, row.kind, row.cores, row.efficiency) for row in metrics.layers
    ]
    assert report.total_efficiency == metrics.total_efficiency
    assert report.cycles_per_frame == metrics.cycles_per_frame
    assert report.effective_tops == metrics.effective_tops
    assert report.host_layers == ("layer5", "layer6")


def test_deepspeech2_lies_on_the_board_of_its_deck() -> None:
    report = map_graph(deepspeech2(), TARGETS["ddese-vu9p"], "paper")
    assert report.fits
    assert report.host_layers == ("conv1", "output")
    # 20 cores hold it; the four that are left make the first of equal layers faster.
    assert [row.cores for row in report.layers] == [8, 4, 4, 4, 4]
    first = report.layers[0]
    assert first.weights == 2 * 3200 * (672 + 800)
    assert first.efficiency == pytest.approx(2 * 3200 * (672 + 800) / (8 * 4096 * 1024))
    assert report.cycles_per_frame == 800 + 800 // 32
    assert report.cores_used == 24
    assert json.loads(json.dumps(report.to_json()))["fits"] is True


def test_projections_get_row_groups_of_their_own() -> None:
    report = map_graph(lstmp(2048), TARGETS["ese-ku115"], "paper")
    assert report.fits
    rows = {row.layer: row for row in report.layers}
    # A row group of the gates is an input and a recurrent core; 2048 columns are two slices.
    assert rows["layer1"].cores == 2 * rows["layer1"].row_groups
    assert rows["layer1"].row_groups >= 2  # 8192 rows on cores of 4096
    assert rows["layer1.projection"].cores == 2 * rows["layer1.projection"].row_groups
    assert rows["layer1.projection"].kind == "projection"
    assert rows["layer1.projection"].weights == 1024 * 2048
    assert report.cores_used <= 20


def test_what_does_not_fit_is_shown_with_the_cores_that_it_needs() -> None:
    report = map_graph(deepspeech(2048), TARGETS["ddese-vu9p"], "paper")
    assert not report.fits
    assert report.cores_used == 29
    assert report.cores == 24
    assert 0 < report.total_efficiency <= 1


def test_a_network_for_the_host_alone_is_an_error() -> None:
    with pytest.raises(CompileError, match="no layer for an accelerator"):
        map_graph(Graph((Output("output", 26, 4),)), TARGETS["tiny"], "paper")
