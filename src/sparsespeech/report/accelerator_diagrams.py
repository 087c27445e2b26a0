"""The pictures of ``docs/accelerator.md``, drawn from a configuration, programs and their runs.

``examples/draw_accelerator.py`` makes them all for DeepSpeech of full size.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sparsespeech.report.core_diagram import SIZE as CORE_SIZE
from sparsespeech.report.core_diagram import paint_core
from sparsespeech.report.diagram import Diagram, Point, draw
from sparsespeech.report.format_diagram import SIZE as FORMAT_SIZE
from sparsespeech.report.format_diagram import paint_formats
from sparsespeech.report.grid_diagram import grid_size, paint_grids
from sparsespeech.report.grid_figure import network_size, paint_network
from sparsespeech.report.memory_diagram import SIZE as MEMORY_SIZE
from sparsespeech.report.memory_diagram import paint_memory
from sparsespeech.report.step_diagram import STEP_SIZE, paint_runs, paint_step, run_size
from sparsespeech.simulator.machine import Run


def draw_accelerator(folder: Path, runs: tuple[Run, ...], suffix: str = ".png") -> list[Path]:
    """Draw every picture into ``folder`` and name them.

    ``runs`` are those of one network in one or more mappings, on one configuration; the first one
    shows the step, the last one the memories. Raises MissingDependencyError without matplotlib,
    and SimulationError for runs of a single frame.
    """
    programs = tuple(run.program for run in runs)
    config = programs[0].config
    pictures: dict[str, tuple[Point, Callable[[Diagram], None]]] = {
        "core": (CORE_SIZE, lambda diagram: paint_core(diagram, config)),
        "grid": (grid_size(programs), lambda diagram: paint_grids(diagram, programs)),
        "network": (
            network_size(programs[0]),
            lambda diagram: paint_network(diagram, programs[0]),
        ),
        "formats": (FORMAT_SIZE, lambda diagram: paint_formats(diagram, config)),
        "memory": (MEMORY_SIZE, lambda diagram: paint_memory(diagram, programs[-1])),
        "step": (STEP_SIZE, lambda diagram: paint_step(diagram, runs[0])),
        "run": (run_size(runs), lambda diagram: paint_runs(diagram, runs)),
    }
    paths = []
    for name, (size, paint) in pictures.items():
        path = folder / f"accelerator-{name}{suffix}"
        draw(path, size, paint)
        paths.append(path)
    return paths
