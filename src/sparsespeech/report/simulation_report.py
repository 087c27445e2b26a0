"""The page of ``simulate --html``: latency, where the cycles went, and how busy the grid was."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np

from sparsespeech.report.html import (
    Cell,
    Markup,
    Section,
    ShareCell,
    element,
    figure,
    gallery,
    joined,
    page,
    paragraph,
    table,
    tiles,
)
from sparsespeech.report.picture import Figure, draw_picture
from sparsespeech.report.simulation import Simulation
from sparsespeech.report.style import BLUE, GREEN, GREY, LIGHT_BLUE, ORANGE, RED
from sparsespeech.simulator.counters import StepSplit
from sparsespeech.simulator.run_figures import CAUSE_NAMES, CAUSES, WIRES, LinkFigures

_CAUSE_COLOURS = dict(zip(CAUSES, (BLUE, LIGHT_BLUE, RED, ORANGE, GREEN, GREY), strict=True))
_LINKS_SHOWN = 10  # of each kind of wires


def simulation_page(simulation: Simulation) -> str:
    """The whole HTML document; raises MissingDependencyError without matplotlib."""
    config = simulation.program.config
    sections = [
        Section("recordings", "Recordings", _recordings(simulation)),
        Section("cycles", "Where the cycles go", _cycles(simulation)),
        Section("cores", "Cores", _cores(simulation)),
        Section("links", "Links", _links(simulation)),
    ]
    subtitle = (
        f"{config.name} ({config.device}), {simulation.program.mapping} mapping, "
        f"{config.cores} cores at {config.frequency_mhz:g} MHz"
    )
    return page("Simulated accelerator", subtitle, _opening(simulation), sections)


def _opening(simulation: Simulation) -> Markup:
    latencies = [recording.figures.latency_ms for recording in simulation.recordings]
    verified = simulation.verified_logits
    frames = sum(recording.figures.frames for recording in simulation.recordings)
    facts = [
        ("Latency", f"{np.median(latencies):.3f} ms", "median of the recordings"),
        (
            "Audio",
            f"{simulation.audio_s:.1f} s",
            f"{len(latencies)} recording{'s' if len(latencies) > 1 else ''}, {frames:,} frames",
        ),
        (
            "Multipliers busy",
            f"{simulation.figures.utilisation:.1%}",
            f"of {simulation.figures.cycles:,} cycles, all cores of the grid",
        ),
        (
            "Logits",
            "not compared" if verified is None else f"{verified:,} equal",
            "to the reference executor, bit for bit",
        ),
    ]
    return tiles(facts)


def _recordings(simulation: Simulation) -> Markup:
    rows = []
    for recording in simulation.recordings:
        figures = recording.figures
        rows.append(
            (
                Path(recording.path).name,
                recording.text,
                f"{recording.duration_s:.2f}",
                f"{figures.frames:,}",
                str(figures.wave),
                f"{figures.latency_cycles:,}",
                f"{figures.latency_ms:.3f}",
            )
        )
    return joined(
        paragraph(
            "Latency is that of the accelerator alone: from the first flit of an utterance at its "
            "host port to the last activation that comes back. Features, the layers on the host "
            "and the bus between them are not in it. Utterances of a wave are in flight together; "
            "waves follow each other without a pause, so those of a later one may wait."
        ),
        table(
            ("recording", "text", "seconds", "frames", "wave", "cycles", "latency (ms)"),
            rows,
            text_columns=2,
        ),
    )


def _cycles(simulation: Simulation) -> Markup:
    passes = simulation.figures.passes
    rows = [
        (
            entry.layer,
            str(entry.core),
            f"{entry.passes:,}",
            *(f"{getattr(entry, cause):,.1f}" for cause in CAUSES),
            f"{entry.total:,.1f}",
        )
        for entry in passes
    ]
    parts = [
        paragraph(
            "Mean cycles of a pass (a frame, or a step of the LSTM) on the busiest tail of each "
            "layer. Multiply: words of the longest stream issue. Row limit: there are fewer words "
            "than row groups, and a core ends one row group a cycle. Stall: FIFOs wait for other "
            "streams or cores. Load: activations are written. Drain: the last results of a pass "
            "are in the pipeline. Recurrence: the output of the step before is on its way."
        ),
        gallery([figure(_cycles_picture(simulation), "Cycles of a pass by cause.")]),
        table(("layer", "core", "passes", *CAUSE_NAMES, "cycles"), rows),
    ]
    steps = simulation.figures.steps
    if steps:
        parts += [element("h3", "One step of the LSTM"), _step_table(steps)]
    return joined(*parts)


def _step_table(steps: dict[str, StepSplit]) -> Markup:
    """The parts of a step, a column a direction."""
    columns = [asdict(split) for split in steps.values()]
    rows = [
        (part.replace("_", " "), *(f"{column[part]:,.1f}" for column in columns))
        for part in columns[0]
    ]
    total = ("step", *(f"{split.total:,.1f}" for split in steps.values()))
    return table(("part (cycles)", *steps), rows, total=total)


def _cycles_picture(simulation: Simulation) -> Markup:
    passes = simulation.figures.passes

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        left = np.zeros(len(passes))
        for cause, name in zip(CAUSES, CAUSE_NAMES, strict=True):
            cycles = np.array([getattr(entry, cause) for entry in passes])
            axes.barh(
                [entry.layer for entry in passes],
                cycles,
                left=left,
                color=_CAUSE_COLOURS[cause],
                label=name,
            )
            left += cycles
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("cycles")
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.28), ncols=3)

    return draw_picture(paint, "Bars of the cycles of a pass of each layer by cause", (4.2, 3.0))


def _cores(simulation: Simulation) -> Markup:
    program = simulation.program
    rows: list[tuple[Cell, ...]] = [
        (
            str(core.core),
            "{}, {}".format(*program.places[core.core]),
            ", ".join(_chain_names(simulation, core.core)),
            ShareCell(core.utilisation, digits=1),
            *(f"{getattr(core, cause):,}" for cause in (*CAUSES, "idle")),
        )
        for core in simulation.figures.cores
    ]
    return joined(
        gallery([figure(_grid_picture(simulation), "Cycles in which each core multiplies.")]),
        table(
            ("core", "site", "chains", "multiplies", *CAUSE_NAMES, "idle"),
            rows,
            text_columns=3,
        ),
    )


def _chain_names(simulation: Simulation, core: int) -> list[str]:
    program = simulation.program
    chains = [task.chain for task in program.tasks if task.core == core]
    return [program.chains[chain].name for chain in dict.fromkeys(chains)]


def _grid_picture(simulation: Simulation) -> Markup:
    config = simulation.program.config
    shares = np.full((config.grid_rows, config.grid_columns), np.nan)
    for core in simulation.figures.cores:
        shares[simulation.program.places[core.core]] = core.utilisation

    def paint(canvas: Figure) -> None:
        axes = canvas.subplots()
        image = axes.imshow(100 * shares, vmin=0, vmax=100)
        for core in simulation.figures.cores:
            row, column = simulation.program.places[core.core]
            ink = "white" if core.utilisation < 0.6 else "black"  # on the dark end of the map
            axes.text(column, row, f"{core.utilisation:.0%}", ha="center", va="center", color=ink)
        axes.grid(visible=False)
        axes.set_xticks(range(config.grid_columns))
        axes.set_yticks(range(config.grid_rows))
        axes.set_xlabel("grid column")
        axes.set_ylabel("grid row")
        canvas.colorbar(image, ax=axes, pad=0.03).set_label("multiplies (% of cycles)")

    return draw_picture(paint, "Heat map of the grid: how long each core multiplies", (5.2, 3.2))


def _links(simulation: Simulation) -> Markup:
    rows = [
        (
            wires,
            *_ends(link),
            f"{link.flits:,}",
            ShareCell(link.utilisation, digits=1),
        )
        for wires in WIRES
        for link in simulation.figures.busiest_links(wires, _LINKS_SHOWN)
    ]
    kinds = "; ".join(f"{wires}: {carried}" for wires, carried in WIRES.items())
    return joined(
        paragraph(
            f"Each link has wires of three kinds, and each kind takes a flit (or a sum) a cycle. "
            f"{kinds}. The {_LINKS_SHOWN} busiest links of each kind."
        ),
        table(("wires", "from site", "to site", "flits", "of the cycles"), rows, text_columns=3),
    )


def _ends(link: LinkFigures) -> tuple[str, str]:
    start, stop = ("{}, {}".format(*place) for place in (link.start, link.stop))
    if link.start != link.stop:
        return start, stop
    return (start, "the host") if link.to_host else ("the host", stop)
