"""The better of two mappings, by the closed form, before anything is placed or packed.

Axes: none of its own; see ``latency_model.py``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

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
from sparsespeech.compiler.program import Mapping
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import IntegerModel

Objective = Literal["latency", "throughput"]
MAPPINGS: tuple[Mapping, ...] = ("paper", "interleaved")


@dataclass(frozen=True)
class MappingEstimate:
    """One mapping of a model; ``misfit`` says why it has no figures."""

    mapping: Mapping
    latency_cycles: int | None  # of an utterance of ``FRAMES_OF_A_SECOND``
    cycles_per_frame: int | None  # of the slowest core, with utterances enough in flight
    misfit: str | None = None


@dataclass(frozen=True)
class MappingChoice:
    """Which mapping was taken, and the figures that decided."""

    mapping: Mapping
    objective: Objective
    estimates: tuple[MappingEstimate, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def reason(self) -> str:
        """One line for a person."""
        what = f"latency of {FRAMES_OF_A_SECOND} frames"
        if self.objective == "throughput":
            what = "cycles a frame of the slowest core"
        parts = [
            f"{one.mapping} does not fit"
            if one.misfit is not None
            else f"{one.mapping} {_figure(one, self.objective):,} cycles"
            for one in self.estimates
        ]
        return f"{self.mapping} mapping chosen by modelled {what}: {', '.join(parts)}"


def choose_mapping(
    model: IntegerModel,
    config: AcceleratorConfig,
    host_layers: tuple[str, ...] | None = None,
    objective: Objective = "latency",
) -> MappingChoice:
    """The mapping with the lower modelled figure; the paper's if they are equal.

    Raises CompileError if the model fits in neither.
    """
    estimates: list[MappingEstimate] = []
    failure: CompileError | None = None
    for mapping in MAPPINGS:
        try:
            found = modelled_latency(model, config, mapping, host_layers)
        except CompileError as error:
            failure = failure or error
            estimates.append(MappingEstimate(mapping, None, None, str(error)))
        else:
            estimates.append(MappingEstimate(mapping, found.cycles, found.cycles_per_frame))
    fitting = [one for one in estimates if one.misfit is None]
    if failure is not None and not fitting:
        raise failure
    best = min(fitting, key=lambda one: _figure(one, objective))
    return MappingChoice(best.mapping, objective, tuple(estimates))


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


def _figure(estimate: MappingEstimate, objective: Objective) -> int:
    """What is compared; of mappings that fit."""
    figure = estimate.latency_cycles if objective == "latency" else estimate.cycles_per_frame
    assert figure is not None  # with a figure, or a misfit
    return figure
