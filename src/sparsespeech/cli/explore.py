"""``sparsespeech explore MODEL``: latency against resources, over many accelerators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.cli.accelerator_options import (
    ConfigOption,
    HostLayersOption,
    TargetOption,
    layer_names,
)
from sparsespeech.cli.option_types import AsJson
from sparsespeech.cli.tables import figures_table, print_line, table_console
from sparsespeech.compilation import DEFAULT_TARGET
from sparsespeech.compiler.exploration import (
    Count,
    DesignPoint,
    Sweep,
    closed_form,
    explore,
    latency_of,
    pareto_front,
)
from sparsespeech.compiler.latency_model import FRAMES_OF_A_SECOND
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.passes.select_layers import accelerated_names
from sparsespeech.compiler.program import Mapping
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.reader import read_model
from sparsespeech.simulator.simulator import Simulator

if TYPE_CHECKING:
    from sparsespeech.model_file.model import IntegerModel

ROW_LANES = "4,8"
MULTIPLIERS = "2,4"
CORES = "8,12,16,20,24,28,34,40,48"
_MAPPINGS: dict[str, tuple[Mapping, ...]] = {
    "both": ("paper", "interleaved"),
    "paper": ("paper",),
    "interleaved": ("interleaved",),
}

RowLanes = Annotated[
    str, typer.Option(metavar="N,N,...", help="Rows that a core works on at once.")
]
Multipliers = Annotated[
    str,
    typer.Option(metavar="N,N,...", help="Multipliers of each row lane and window of columns."),
]
Cores = Annotated[str, typer.Option(metavar="N,N,...", help="Cores of the grid.")]
Frequency = Annotated[
    str | None, typer.Option(metavar="MHZ,MHZ,...", help="Clocks; default: the target's.")
]
MappingsOption = Annotated[
    str, typer.Option(metavar="|".join(_MAPPINGS), help="Mappings to try, see `compile --help`.")
]
Simulate = Annotated[
    bool,
    typer.Option("--simulate", help="Count cycles by the simulator: exact, seconds a design."),
]
All = Annotated[
    bool, typer.Option("--all", help="List every design, not only those that no other one beats.")
]
PlotOption = Annotated[
    Path | None, typer.Option(metavar="X.png", help="Draw latency against multipliers and memory.")
]


def run(
    model: Annotated[str, typer.Argument(help="Model file, model folder or bundled model name.")],
    target: TargetOption = DEFAULT_TARGET,
    config: ConfigOption = None,
    row_lanes: RowLanes = ROW_LANES,
    multipliers: Multipliers = MULTIPLIERS,
    cores: Cores = CORES,
    frequency: Frequency = None,
    mapping: MappingsOption = "both",
    host_layers: HostLayersOption = None,
    simulate: Simulate = False,
    every: All = False,
    plot: PlotOption = None,
    as_json: AsJson = False,
) -> None:
    """Sweep accelerators for a model: latency of 1 s of speech against multipliers and memory.

    What the options do not name is the target's. Latency is that of a closed form, or with
    --simulate of the simulator. The table lists the designs that no other one beats in latency,
    multipliers and memory together; --all lists every one and marks these by a star.
    """
    if mapping not in _MAPPINGS:
        raise typer.BadParameter(
            f"{mapping!r} is not one of {', '.join(_MAPPINGS)}", param_hint="--mapping"
        )
    sweep = Sweep(
        row_lanes=_numbers(row_lanes, "--row-lanes"),
        multipliers_per_window=_numbers(multipliers, "--multipliers"),
        cores=_numbers(cores, "--cores"),
        frequency_mhz=_frequencies(frequency),
        mappings=_MAPPINGS[mapping],
    )
    if plot is not None:
        from sparsespeech.report.exploration_plot import check_plot

        check_plot(plot)
    contents = read_model(resolve_model(model))
    base, hosted = named_target(target, config), layer_names(host_layers)
    accelerated_names(contents.graph, hosted)  # raises for layers that no design could leave out
    count = simulated(contents, hosted) if simulate else closed_form(contents, hosted)
    points = _explore(contents, base, sweep, count)
    front = pareto_front(points, lambda point: point.multipliers, lambda point: point.memory_bits)
    if plot is not None:
        from sparsespeech.report.exploration_plot import draw_exploration

        title = f"{Path(model).stem} on designs like {base.name}"
        draw_exploration(points, plot, title=title, simulated=simulate)
    if as_json:
        typer.echo(json.dumps(_figures(model, base, points, front, simulate=simulate)))
    else:
        _print(points, front, simulate=simulate, every=every)


def _explore(
    model: IntegerModel, base: AcceleratorConfig, sweep: Sweep, count: Count
) -> tuple[DesignPoint, ...]:
    """The points, with a bar on stderr if that is a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("exploring")

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        return explore(model, base, sweep, count=count, progress=progress)


def simulated(model: IntegerModel, host_layers: tuple[str, ...] | None = None) -> Count:
    """Cycles of one second of speech that has a compiled program to itself."""

    def count(config: AcceleratorConfig, mapping: Mapping) -> int:
        program = lower(model, config, mapping, host_layers=host_layers)
        return Simulator(program).timing([[FRAMES_OF_A_SECOND]]).cycles

    return count


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise typer.BadParameter(
            f"{text!r}: expected whole numbers from 1 on, as in 4,8", param_hint=option
        )
    return numbers


def _frequencies(text: str | None) -> tuple[float, ...]:
    try:
        numbers = tuple(dict.fromkeys(float(part) for part in text.split(","))) if text else ()
    except ValueError:
        numbers = (0.0,)
    if not all(0 < number < float("inf") for number in numbers):
        raise typer.BadParameter(
            f"{text!r}: expected MHz above 0, as in 200,250", param_hint="--frequency"
        )
    return numbers


def _figures(
    model: str,
    base: AcceleratorConfig,
    points: tuple[DesignPoint, ...],
    front: tuple[DesignPoint, ...],
    *,
    simulate: bool,
) -> dict[str, object]:
    return {
        "model": model,
        "target": base.name,
        "source": "simulator" if simulate else "closed form",
        "frames": FRAMES_OF_A_SECOND,
        "points": [{**point.to_json(), "pareto": point in front} for point in points],
    }


def _print(
    points: tuple[DesignPoint, ...],
    front: tuple[DesignPoint, ...],
    *,
    simulate: bool,
    every: bool,
) -> None:
    console = table_console()
    table = figures_table(
        "mapping", "row lanes", "multipliers/window", "cores", "MHz", "multipliers",
        "memory (Mbit)", "cycles", "ms", *(["Pareto"] if every else []),
    )  # fmt: skip
    fitting = [point for point in points if point.cycles is not None]
    for point in sorted(fitting, key=latency_of) if every else front:
        star = ["*" if point in front else ""] if every else []
        table.add_row(*_cells(point), *star)
    if fitting:
        console.print(table)
    source = "counted by the simulator" if simulate else "by the closed form"
    print_line(
        console,
        f"latency of {FRAMES_OF_A_SECOND} frames, {source}; "
        f"{len(front)} of {len(points)} designs are on the Pareto front",
    )
    missing = [point for point in points if point.cycles is None]
    if missing:
        config = missing[0].config
        print_line(
            console,
            f"{len(missing)} do not run the model; the first, {config.row_lanes} row lanes and "
            f"{config.cores} cores: {missing[0].why}",
        )


def _cells(point: DesignPoint) -> tuple[str, ...]:
    config = point.config
    return (
        point.mapping,
        str(config.row_lanes),
        str(config.multipliers_per_window),
        str(config.cores),
        f"{config.frequency_mhz:g}",
        f"{point.multipliers:,}",
        f"{point.memory_bits / 1e6:,.1f}",
        f"{point.cycles:,}",
        f"{latency_of(point):.4f}",
    )
