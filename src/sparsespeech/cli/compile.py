"""``sparsespeech compile MODEL``: the program that an accelerator loads, and what it costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from sparsespeech import atomic_file
from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.cli.accelerator_options import (
    ConfigOption,
    HostLayersOption,
    MappingOption,
    ObjectiveOption,
    TargetOption,
    layer_names,
    mapping_name,
    objective_name,
)
from sparsespeech.cli.mapping_output import mapped_without_program, mapping_json, print_mapping
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import figures_table, print_line, table_console
from sparsespeech.compilation import (
    DEFAULT_TARGET,
    MappingChoice,
    MappingName,
    Objective,
    choose_program,
)
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.latency_model import (
    FRAMES_OF_A_SECOND,
    LatencyEstimate,
    estimate_program_latency,
)
from sparsespeech.compiler.lower import PASSES, lower
from sparsespeech.compiler.metrics import LayerMetrics, ProgramMetrics
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.compiler.program_file import SUFFIX
from sparsespeech.errors import NoProgramError
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model

DumpOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="New folder for the plan after each pass, as JSON."),
]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        metavar="X.program",
        help="Write the program to this file, after proving it once more: about a second for a "
        "full DeepSpeech.",
    ),
]


def run(
    model: Annotated[str, typer.Argument(help="Model file, model folder or bundled model name.")],
    target: TargetOption = DEFAULT_TARGET,
    mapping: MappingOption = "paper",
    objective: ObjectiveOption = "latency",
    config: ConfigOption = None,
    host_layers: HostLayersOption = None,
    dump: DumpOption = None,
    output: OutputOption = None,
    as_json: AsJson = False,
) -> None:
    """Lay a model over the cores of an accelerator, and show how well it fills them.

    The table is Table II of the MAU paper: cores of each layer and the share of their capacity
    that it uses. Latency is that of a closed form for 1 s of audio; `simulate` counts cycles, and
    so does --mapping auto, which compiles both mappings.
    """
    wish, goal = mapping_name(mapping), objective_name(objective)
    if goal == "throughput" and wish != "auto":
        raise typer.BadParameter("it chooses between mappings; add --mapping auto",
                                 param_hint="--objective")  # fmt: skip
    _check_paths(dump, output)
    contents, grid = read_model(resolve_model(model)), named_target(target, config)
    hosted = layer_names(host_layers)
    try:
        program, choice = _compile(contents, grid, wish, goal, hosted, dump)
    except NoProgramError as error:
        report = mapped_without_program(contents.graph, grid, mapping, hosted)
        if as_json:
            typer.echo(json.dumps(mapping_json(report, error)))
        else:
            print_mapping(table_console(), report, grid)
        raise NoProgramError(f"no program can be written yet: {error}") from None
    if output is not None:
        with Console(stderr=True).status("proving the program, then writing it"):
            program.save(output)
    metrics, latency = program.metrics(), estimate_program_latency(program, FRAMES_OF_A_SECOND)
    if as_json:
        typer.echo(json.dumps(_figures(program, metrics, latency, choice)))
        return
    _print(program, metrics, latency, choice)
    if output is not None:
        typer.echo(f"program: {output}")


def _compile(
    model: IntegerModel,
    config: AcceleratorConfig,
    mapping: MappingName,
    objective: Objective,
    host_layers: tuple[str, ...] | None,
    dump: Path | None,
) -> tuple[Program, MappingChoice | None]:
    """The program and, of "auto", the choice; a line on stderr tells how far it is.

    ``dump`` gets the plans of the program's mapping, or of the one that came furthest.
    """
    plans: dict[Mapping, dict[str, Any]] = {}
    program: Program | None = None
    choice: MappingChoice | None = None
    with Console(stderr=True).status("compiling") as status:

        def after(name: str, plan: Plan) -> None:
            status.update(f"compiling, {plan.mapping} mapping: {name} done")
            if dump is not None:
                own = plans.setdefault(plan.mapping, {})
                number = 1 + [step.__name__ for step in PASSES].index(name)
                own[f"{number}-{name}.json"] = plan.to_json()  # of the last attempt

        try:
            if mapping == "auto":
                program, choice = choose_program(
                    model, config, objective, host_layers=host_layers, after=after
                )
            else:
                program = lower(model, config, mapping, host_layers=host_layers, after=after)
        finally:  # the plans before a failure are what explains it
            if dump is not None and plans:
                furthest = max(plans.values(), key=len)
                _write_plans(dump, furthest if program is None else plans[program.mapping])
    return program, choice


def _check_paths(dump: Path | None, output: Path | None) -> None:
    if dump is not None and dump.exists():
        raise typer.BadParameter(f"{dump} exists already; name a new folder", param_hint="--dump")
    if output is None:
        return
    if output.is_dir() or not output.parent.is_dir():
        raise typer.BadParameter(
            f"{output}: give the path of a file in an existing folder", param_hint="--output"
        )
    if output.suffix != SUFFIX:
        raise typer.BadParameter(
            f"{output}: the name of a program file must end in {SUFFIX}", param_hint="--output"
        )


def _write_plans(folder: Path, plans: dict[str, Any]) -> None:
    try:
        with atomic_file.new_folder(folder) as partial:
            for name, plan in plans.items():
                (partial / name).write_text(json.dumps(plan, indent=1), encoding="utf-8")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder)) from error  # not the partial one


def _figures(
    program: Program,
    metrics: ProgramMetrics,
    latency: LatencyEstimate,
    choice: MappingChoice | None,
) -> dict[str, Any]:
    """The JSON object; the names of ``bench mapping`` where it measures the same."""
    return {
        **metrics.to_json(),
        "passes": [step.__name__ for step in PASSES],
        "accelerated": list(program.accelerated),
        "host_layers": _host_layers(program),
        "modelled_latency_cycles": latency.cycles,
        "modelled_latency_ms": 1e3 * latency.seconds,
        "mapping_choice": None if choice is None else choice.to_json(),
        "facts": program.facts,
    }


def _host_layers(program: Program) -> list[str]:
    names = [layer.name for layer in program.model.graph.layers]
    return [name for name in names if name not in program.accelerated]


def _print(
    program: Program,
    metrics: ProgramMetrics,
    latency: LatencyEstimate,
    choice: MappingChoice | None,
) -> None:
    console = table_console()
    config = program.config
    print_line(
        console,
        f"{config.name} ({config.device}): {config.cores} cores at {config.frequency_mhz:g} MHz, "
        f"{program.mapping} mapping",
    )
    if choice is not None:
        print_line(console, choice.reason)
    console.print(_table(metrics))
    lines = [
        f"on the host: {', '.join(_host_layers(program))}",
        f"weight words: {metrics.words:,} of {metrics.memory_words:,} ({metrics.memory_used:.1%}), "
        f"{metrics.entries_filled:.1%} of their entries hold a weight",
        f"packing: {metrics.packing_ratio:.3f} cycles a row group; 1 is ideal",
        f"throughput: {metrics.effective_tops:.2f} effective TOPS (dense weights), "
        f"{metrics.real_tops:.2f} of them multiplied; peak {metrics.peak_tops:.1f}, "
        f"with loads {metrics.peak_tops_with_loads:.1f}",
    ]
    busiest = metrics.busiest_link
    if busiest is not None:
        way = f"site {busiest.start} to {busiest.stop}"
        if busiest.start == busiest.stop:
            way = "the host's port, " + ("outwards" if busiest.to_host else "inwards")
        lines.append(
            f"busiest link: {way}, {busiest.slots} of {config.slots} slots, "
            f"{busiest.streams} streams"
        )
    modelled = (
        f"latency of {FRAMES_OF_A_SECOND} frames by the closed form: {1e3 * latency.seconds:.3f} "
        f"ms, {latency.cycles:,} cycles"
    )
    if any(chain.role == "recurrent" for chain in program.chains):
        modelled += f" ({latency.bubble_cycles} a step fitted to the MAU paper)"
    lines.append(modelled)
    for line in lines:
        print_line(console, line)


def _table(metrics: ProgramMetrics) -> Table:
    headings = ("cores", "row groups", "efficiency", "weights", "nonzeros", "steps", "cycles/frame")
    table = figures_table("layer", "kind", *headings)
    table.columns[1].justify = "left"
    for layer in metrics.layers:
        table.add_row(layer.layer, layer.kind, *_cells(layer))
    table.add_section()
    table.add_row(
        "total",
        "",
        f"{metrics.cores_used} of {metrics.cores}",
        "",
        f"{metrics.total_efficiency:.1%}",
        f"{metrics.weights:,}",
        f"{metrics.nonzeros:,}",
        "",
        f"{metrics.cycles_per_frame:,}",
    )
    return table


def _cells(layer: LayerMetrics) -> tuple[str, ...]:
    return (
        str(layer.cores),
        str(layer.row_groups),
        f"{layer.efficiency:.1%}",
        f"{layer.weights:,}",
        f"{layer.nonzeros:,}",
        f"{layer.steps:,}",
        f"{layer.cycles_per_frame:,}",
    )
