"""What ``compile`` shows of a model that can be mapped, but that no program runs yet."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.cli.tables import figures_table, print_line
from sparsespeech.compiler.mapping_report import MappingReport, map_graph
from sparsespeech.compiler.program import MAPPINGS
from sparsespeech.errors import NoProgramError
from sparsespeech.graph import Graph


def mapped_without_program(
    graph: Graph, config: AcceleratorConfig, mapping: str, host_layers: tuple[str, ...] | None
) -> MappingReport:
    """The mapping's report; of "auto" the one with fewer cycles a frame, the paper's if equal.

    Raises CompileError if no layer is for the accelerator.
    """
    wanted = MAPPINGS if mapping == "auto" else tuple(one for one in MAPPINGS if one == mapping)
    reports = [map_graph(graph, config, one, host_layers) for one in wanted]
    return min(reports, key=lambda report: (not report.fits, report.cycles_per_frame))


def mapping_json(report: MappingReport, error: NoProgramError) -> dict[str, Any]:
    """The JSON object, with the names of a compiled program's figures where they are the same."""
    return {**report.to_json(), "program": None, "no_program_because": str(error)}


def print_mapping(console: Console, report: MappingReport, config: AcceleratorConfig) -> None:
    """The table and its notes for a person."""
    print_line(
        console,
        f"{config.name} ({config.device}): {config.cores} cores at {config.frequency_mhz:g} MHz, "
        f"{report.mapping} mapping, from the shapes of the layers alone",
    )
    headings = ("cores", "row groups", "efficiency", "weights", "cycles/frame")
    table = figures_table("layer", "kind", *headings)
    table.columns[1].justify = "left"
    for layer in report.layers:
        table.add_row(
            layer.layer,
            layer.kind,
            str(layer.cores),
            str(layer.row_groups),
            f"{layer.efficiency:.1%}",
            f"{layer.weights:,}",
            f"{layer.cycles_per_frame:,}",
        )
    table.add_section()
    weights = sum(layer.weights for layer in report.layers)
    cores = f"{report.cores_used} of {report.cores}"
    efficiency = f"{report.total_efficiency:.1%}"
    cycles = f"{report.cycles_per_frame:,}"
    table.add_row("total", "", cores, "", efficiency, f"{weights:,}", cycles)
    console.print(table)
    lines = [
        f"on the host: {', '.join(report.host_layers)}",
        "each row is taken to need one weight word, as it does above 95 % sparsity, and each "
        "activation 8 bits",
        f"throughput: {report.effective_tops:.2f} effective TOPS (dense weights), peak "
        f"{config.peak_tops:.1f}",
    ]
    if not report.fits:
        lines.append(
            f"it does not fit: {report.cores_used} cores are needed, {config.name} has "
            f"{report.cores}; the figures are those of a grid with as many as are needed"
        )
    for line in lines:
        print_line(console, line)
