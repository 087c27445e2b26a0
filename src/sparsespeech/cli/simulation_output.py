"""What ``simulate`` prints: utterances, where the cycles went, the busiest links."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sparsespeech.cli.tables import figures_table, print_line
from sparsespeech.report.simulation import Simulation
from sparsespeech.simulator.run_figures import (
    CAUSE_NAMES,
    CAUSES,
    WIRES,
    LinkFigures,
    RunFigures,
)

_LINKS_SHOWN = 3  # of each kind of wires


def print_simulation(console: Console, simulation: Simulation) -> None:
    """Tables for a person."""
    config, figures = simulation.program.config, simulation.figures
    print_line(
        console,
        f"{config.name}, {simulation.program.mapping} mapping, {config.frequency_mhz:g} MHz, "
        f"cycle-exact simulation (timing.md); the PCIe bus is not modelled",
    )
    console.print(_utterance_table(simulation))
    if len(simulation.run.waves) > 1:
        print_line(
            console,
            "Waves follow each other without a pause, so utterances of later waves may wait.",
        )
    print_line(console, "Mean cycles of a pass on the busiest tail of each layer:")
    console.print(_pass_table(figures))
    for direction, split in figures.steps.items():
        parts = ", ".join(
            f"{name.replace('_', ' ')} {value:.1f}" for name, value in asdict(split).items()
        )
        print_line(console, f"a {direction} step: {split.total:.1f} cycles: {parts}")
    print_line(
        console,
        f"the cores of the grid multiply in {figures.utilisation:.1%} of {figures.cycles:,} cycles",
    )
    for wires, carried in WIRES.items():
        busiest = figures.busiest_links(wires, _LINKS_SHOWN)
        if busiest:
            print_line(console, f"{wires} ({carried}): {'; '.join(map(_link, busiest))}")
    if simulation.verified_logits is not None:
        count = len(simulation.recordings)
        print_line(
            console,
            f"verified: {simulation.verified_logits:,} logits of "
            f"{count} recording{'s' if count > 1 else ''} are those of the reference executor",
        )
    print_line(
        console,
        f"simulated {simulation.audio_s:.1f} s of speech in {simulation.wall_s:.1f} s",
    )


def _link(link: LinkFigures) -> str:
    way = f"link {link.start} to {link.stop}"
    if link.start == link.stop:
        way = "link to the host" if link.to_host else "link from the host"
    return f"{way} {link.utilisation:.1%} of the cycles"


def _utterance_table(simulation: Simulation) -> Table:
    table = figures_table("recording", "seconds", "frames", "wave", "cycles", "latency ms", "text")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    for recording in simulation.recordings:
        figures = recording.figures
        table.add_row(
            Path(recording.path).name,
            f"{recording.duration_s:.2f}",
            f"{figures.frames:,}",
            str(figures.wave),
            f"{figures.latency_cycles:,}",
            f"{figures.latency_ms:.3f}",
            recording.text,
        )
    return table


def _pass_table(figures: RunFigures) -> Table:
    table = figures_table("layer", "core", "passes", *CAUSE_NAMES, "cycles")
    for entry in figures.passes:
        causes = (f"{getattr(entry, cause):,.1f}" for cause in CAUSES)
        table.add_row(
            entry.layer, str(entry.core), f"{entry.passes:,}", *causes, f"{entry.total:,.1f}"
        )
    return table
