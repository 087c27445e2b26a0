"""Design-space exploration: one model on many accelerators, latency against what they cost.

A *design* is a target with other row lanes, multipliers of a window, cores or clock; everything
else is the target's. Its cost is multipliers and bits of weight memory, both of the whole grid.
Latency is that of the closed form (``latency_model.py``, with the words that the nonzeros need), so
that a design takes a second at most; what a run takes to the cycle is the simulator's to say.
A design that no other one beats in latency, multipliers and memory is on the *Pareto front*.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.latency_model import (
    FRAMES_OF_A_SECOND,
    LatencyEstimate,
    estimate_latency,
)
from sparsespeech.compiler.layer_demand import layer_demand, words_with_pattern
from sparsespeech.compiler.passes.allocate_cores import allocate_cores
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.compiler.program import MAPPINGS, Mapping
from sparsespeech.errors import AcceleratorConfigError, CompileError, SimulationError
from sparsespeech.model_file.model import IntegerModel

Count = Callable[[AcceleratorConfig, Mapping], int]  # cycles of a second of speech


@dataclass(frozen=True)
class Sweep:
    """Values to combine, each with each; an empty tuple keeps the target's own."""

    row_lanes: tuple[int, ...] = ()
    multipliers_per_window: tuple[int, ...] = ()
    cores: tuple[int, ...] = ()
    frequency_mhz: tuple[float, ...] = ()
    mappings: tuple[Mapping, ...] = MAPPINGS

    def designs(self, target: AcceleratorConfig) -> Iterator[AcceleratorConfig]:
        """The machines, cores in the grid that is nearest to a square.

        Raises AcceleratorConfigError for values that hardware cannot have.
        """
        for lanes, multipliers, cores, frequency in itertools.product(
            self.row_lanes or (target.row_lanes,),
            self.multipliers_per_window or (target.multipliers_per_window,),
            self.cores or (target.cores,),
            self.frequency_mhz or (target.frequency_mhz,),
        ):
            yield _design(target, lanes, multipliers, cores, frequency)


@dataclass(frozen=True)
class DesignPoint:
    """One design in one mapping; without ``cycles`` where the model does not fit, and ``why``."""

    config: AcceleratorConfig
    mapping: Mapping
    cycles: int | None  # of FRAMES_OF_A_SECOND frames
    why: str = ""

    @property
    def milliseconds(self) -> float | None:
        """Latency of one second of speech."""
        return None if self.cycles is None else 1e3 * self.config.seconds(self.cycles)

    @property
    def multipliers(self) -> int:
        """Of the grid."""
        return self.config.cores * self.config.multipliers

    @property
    def memory_bits(self) -> int:
        """Of the weight memories of the grid."""
        return self.config.weight_memory_bits

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        config = self.config
        return {
            "row_lanes": config.row_lanes,
            "multipliers_per_window": config.multipliers_per_window,
            "cores": config.cores,
            "frequency_mhz": config.frequency_mhz,
            "mapping": self.mapping,
            "multipliers": self.multipliers,
            "memory_bits": self.memory_bits,
            "cycles": self.cycles,
            "milliseconds": self.milliseconds,
            "why": self.why,
        }


def explore(
    model: IntegerModel,
    target: AcceleratorConfig,
    sweep: Sweep,
    *,
    count: Count | None = None,
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> tuple[DesignPoint, ...]:
    """Every design in every mapping, in the order of the sweep.

    ``count`` counts cycles in place of the closed form; cycles do not depend on the clock, so that
    each machine is counted once for all its clocks. ``progress`` is told how many of how many
    points are done. Raises AcceleratorConfigError for values that hardware cannot have.
    """
    counted: dict[tuple[AcceleratorConfig, Mapping], tuple[int | None, str]] = {}
    points = []
    designs = [(config, mapping) for config in sweep.designs(target) for mapping in sweep.mappings]
    cycles_of = count or closed_form(model)
    for done, (config, mapping) in enumerate(designs):
        progress(done, len(designs))
        machine = (replace(config, frequency_mhz=target.frequency_mhz), mapping)
        if machine not in counted:
            try:
                counted[machine] = cycles_of(*machine), ""
            except (CompileError, SimulationError) as error:
                counted[machine] = None, str(error)
        points.append(DesignPoint(config, mapping, *counted[machine]))
    progress(len(designs), len(designs))
    return tuple(points)


def closed_form(model: IntegerModel, host_layers: tuple[str, ...] | None = None) -> Count:
    """Cycles of one second of speech by ``latency_model.py``; ``host_layers`` as in ``lower``."""

    def count(config: AcceleratorConfig, mapping: Mapping) -> int:
        return modelled_latency(model, config, mapping, host_layers).cycles

    return count


def modelled_latency(
    model: IntegerModel,
    config: AcceleratorConfig,
    mapping: Mapping,
    host_layers: tuple[str, ...] | None = None,
    frames: int = FRAMES_OF_A_SECOND,
) -> LatencyEstimate:
    """Cycles of ``frames`` frames by the closed form, before anything is placed or packed.

    Raises CompileError for a model that does not fit.
    """
    plan = allocate_cores(select_layers(Plan(model, config, mapping, host_layers=host_layers)))
    layers = {layer.name: layer for layer in model.graph.layers}
    demands = tuple(layer_demand(layers[name], mapping) for name in plan.accelerated)
    return estimate_latency(
        demands,
        plan.row_groups,
        config,
        frames,
        narrow_rows_fold=False,
        words=words_with_pattern(model, config),
    )


def pareto_front(
    points: Iterable[DesignPoint], *costs: Callable[[DesignPoint], float]
) -> tuple[DesignPoint, ...]:
    """Those that no other point beats: at most as much of every cost, and less of one.

    The fastest first. Points without a latency are left out; of equal ones all stay.
    """
    fitting = [point for point in points if point.milliseconds is not None]
    values = [tuple(cost(point) for cost in (latency_of, *costs)) for point in fitting]
    front = [
        point
        for point, own in zip(fitting, values, strict=True)
        if not any(_beats(other, own) for other in values)
    ]
    return tuple(sorted(front, key=latency_of))


def latency_of(point: DesignPoint) -> float:
    """Milliseconds; infinite where the model does not fit."""
    return math.inf if point.milliseconds is None else point.milliseconds


def _beats(other: Sequence[float], own: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(other, own, strict=True)) and other != own


def _design(
    target: AcceleratorConfig, lanes: int, multipliers: int, cores: int, frequency: float
) -> AcceleratorConfig:
    """The target with other sizes; links stay as wide as its partial sums are together."""
    if cores < 1:
        raise AcceleratorConfigError(f"{target.name}: {cores} cores, expected 1 or more")
    rows, columns = target.grid_rows, target.grid_columns
    if cores != target.cores:
        rows = math.isqrt(cores)
        columns = math.ceil(cores / rows)
    return replace(
        target,
        row_lanes=lanes,
        multipliers_per_window=multipliers,
        cores=cores,
        grid_rows=rows,
        grid_columns=columns,
        frequency_mhz=frequency,
        flit_bits=max(target.flit_bits, lanes * target.partial_sum_bits),
    )
