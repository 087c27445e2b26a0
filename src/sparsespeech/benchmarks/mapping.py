"""``bench mapping``: Table II of the MAU paper (S2) for any model and target.

Cores and efficiency of each layer beside the paper's, peak and effective throughput, weight memory,
words and link loads, in the paper's mapping and the interleaved one. *Efficiency* is the share of
the cores' dense capacity that a layer uses, in per cent. Every figure follows from the program:
nothing here is timed. The networks of the ESE/DDESE deck (S4) are mapped from their shapes, since
no accelerator program runs them yet.
"""

from __future__ import annotations

from typing import Any

from sparsespeech.accelerator_config import TARGETS
from sparsespeech.benchmarks.accelerator_models import AcceleratorOptions
from sparsespeech.benchmarks.result import BenchResult, Row
from sparsespeech.compiler.mapping_report import map_graph
from sparsespeech.compiler.metrics import ProgramMetrics
from sparsespeech.compiler.program import MAPPINGS, Program
from sparsespeech.errors import CompileError
from sparsespeech.graph import Graph, Lstm, deepspeech, lstmp

PAPER_CORES = {"layer1": 2, "layer2": 4, "layer3": 4, "layer4": 24}  # S2 Table II
PAPER_EFFICIENCY = {"layer1": 12.5, "layer2": 25.0, "layer3": 50.0, "layer4": 100.0}
PAPER_TOTALS = {
    "cores": 34,
    "total_efficiency": 80.1,
    "peak_tops": 69.6,
    "peak_tops_with_loads": 67.5,
    "effective_tops": 54.0,
}
BUSIEST_LINKS = 8
PAPER_HIDDEN = 2048


def run_mapping(options: AcceleratorOptions) -> BenchResult:
    """Compile in both mappings; raises CompileError for a model that fits in neither."""
    result = BenchResult("mapping", options.facts())
    result.config["mappings"] = list(MAPPINGS)
    paper = is_paper_network(options)
    for program in options.programs(result):
        metrics = program.metrics()
        result.add_rows("layers", *_layer_rows(metrics, paper=paper))
        result.add_rows("totals", *_total_rows(metrics, paper=paper))
        result.add_rows("weight memory", _memory_row(program, metrics))
        result.add_rows("busiest links", *_link_rows(program, metrics))
        if program.mapping == "paper":
            _figures(result, metrics)
    options.on_progress("networks of S4")
    result.add_rows("networks from their shapes", *_shape_rows())
    return result


def is_paper_network(options: AcceleratorOptions) -> bool:
    """Whether Table II speaks of this network and target."""
    config = options.target if not isinstance(options.target, str) else TARGETS[options.target]
    return options.model.graph == deepspeech(PAPER_HIDDEN) and config == TARGETS["mau-stratix10"]


def _figures(result: BenchResult, metrics: ProgramMetrics) -> None:
    for layer in metrics.layers:
        result.figures[f"{layer.layer}_efficiency"] = 100 * layer.efficiency
    result.figures["total_efficiency"] = 100 * metrics.total_efficiency
    result.figures["cores"] = metrics.cores_used
    result.figures["peak_tops"] = metrics.peak_tops
    result.figures["peak_tops_with_loads"] = metrics.peak_tops_with_loads
    result.figures["effective_tops"] = metrics.effective_tops


def _layer_rows(metrics: ProgramMetrics, *, paper: bool) -> list[Row]:
    rows = []
    for layer in metrics.layers:
        row: Row = {"mapping": metrics.mapping, "layer": layer.layer, "kind": layer.kind}
        row |= {"cores": layer.cores, "efficiency": 100 * layer.efficiency}
        if paper:
            row["paper_cores"] = PAPER_CORES[layer.layer]
            row["paper_efficiency"] = PAPER_EFFICIENCY[layer.layer]
        row |= {
            "row_groups": layer.row_groups,
            "steps": layer.steps,
            "cycles_per_frame": layer.cycles_per_frame,
            "packing_ratio": layer.packing_ratio,
            "weights": layer.weights,
            "nonzeros": layer.nonzeros,
        }
        rows.append(row)
    return rows


def _total_rows(metrics: ProgramMetrics, *, paper: bool) -> list[Row]:
    values: dict[str, Any] = {
        "cores": metrics.cores_used,
        "total_efficiency": 100 * metrics.total_efficiency,
        "peak_tops": metrics.peak_tops,
        "peak_tops_with_loads": metrics.peak_tops_with_loads,
        "effective_tops": metrics.effective_tops,
        "real_tops": metrics.real_tops,
        "cycles_per_frame": metrics.cycles_per_frame,
    }
    return [
        {"mapping": metrics.mapping, "figure": name, "value": value}
        | ({"paper": PAPER_TOTALS.get(name, "")} if paper else {})
        for name, value in values.items()
    ]


def _memory_row(program: Program, metrics: ProgramMetrics) -> Row:
    return {
        "mapping": metrics.mapping,
        "words": metrics.words,
        "of_words": metrics.memory_words,
        "used": metrics.memory_used,
        "deepest_stream": metrics.deepest_stream,
        "of_depth": program.config.weight_words,
        "entries_filled": metrics.entries_filled,
        "word_bits": program.config.word_bits,
        "memory_mbit": program.config.weight_memory_bits / 1e6,
    }


def _link_rows(program: Program, metrics: ProgramMetrics) -> list[Row]:
    links = sorted(metrics.links, key=lambda link: -link.slots)[:BUSIEST_LINKS]
    return [
        {
            "mapping": metrics.mapping,
            "link": _ends(link.start, link.stop, to_host=link.to_host),
            "slots": link.slots,
            "of_slots": program.config.slots,
            "streams": link.streams,
        }
        for link in links
    ]


def _ends(start: tuple[int, int], stop: tuple[int, int], *, to_host: bool) -> str:
    if start == stop:
        return f"{start} to the host" if to_host else f"the host to {stop}"
    return f"{start} to {stop}"


def _shape_rows() -> list[Row]:
    """What programs do not run yet, on the devices of S4; a row each, also where it does not fit.

    DeepSpeech2's convolutions stay on the host, so that its five LSTM layers are mapped.
    """
    networks: tuple[tuple[str, Graph, str], ...] = (
        ("ESE, 3 projected LSTMs of 2048", lstmp(), "ese-ku115"),
        ("DDESE, 5 bidirectional LSTMs of 800", _ddese_layers(), "ddese-vu9p"),
    )
    rows = []
    for title, graph, target in networks:
        for mapping in MAPPINGS:
            row: Row = {"network": title, "target": target, "mapping": mapping}
            try:
                report = map_graph(graph, TARGETS[target], mapping)
            except CompileError as error:
                rows.append({**row, "fits": "no", "why": str(error)})
                continue
            row |= {"fits": "yes" if report.fits else "no", "cores": report.cores_used}
            row |= {"of_cores": report.cores, "efficiency": 100 * report.total_efficiency}
            row |= {"cycles_per_frame": report.cycles_per_frame}
            rows.append(row | {"effective_tops": report.effective_tops})
    return rows


def _ddese_layers(inputs: int = 672, cells: int = 800) -> Graph:
    """S4's DeepSpeech2 behind its convolutions; both directions are summed."""
    return Graph(
        tuple(
            Lstm(f"layer{number + 1}", cells if number else inputs, cells, True, merge="sum")
            for number in range(5)
        )
    )
