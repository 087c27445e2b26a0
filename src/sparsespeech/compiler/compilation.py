"""Compiling for users: a model by name, a target by name, and the faster of two mappings.

Axes: none of its own; see ``program.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.accelerator_config import target as named_target
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.latency_model import (
    FRAMES_OF_A_SECOND,
    LatencyEstimate,
    estimate_latency,
)
from sparsespeech.compiler.layer_demand import layer_demand, words_with_pattern
from sparsespeech.compiler.lower import lower
from sparsespeech.compiler.passes.allocate_cores import allocate_cores
from sparsespeech.compiler.passes.select_layers import select_layers
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.errors import CompileError
from sparsespeech.model_file.lookup import resolve_model
from sparsespeech.model_file.model import IntegerModel
from sparsespeech.model_file.reader import read_model

DEFAULT_TARGET = "mau-stratix10"
MappingChoice = Literal["paper", "interleaved", "auto"]


def compile_model(
    model: IntegerModel | str | Path,
    target: str | AcceleratorConfig = DEFAULT_TARGET,
    *,
    mapping: MappingChoice = "paper",
    host_layers: tuple[str, ...] | None = None,
    after: Callable[[str, Plan], None] | None = None,
) -> Program:
    """The program of a model (or of a model file, or of a bundled model's name) for a target.

    ``mapping`` "auto" takes the one that :func:`modelled_latency` finds faster; ``host_layers``
    and ``after`` are those of :func:`.lower`. Raises CompileError for a model that does not fit,
    AcceleratorConfigError for an unknown target, ModelFileError for a file that is none.
    """
    contents = model if isinstance(model, IntegerModel) else read_model(resolve_model(model))
    config = target if isinstance(target, AcceleratorConfig) else named_target(target)
    chosen = faster_mapping(contents, config, host_layers) if mapping == "auto" else mapping
    return lower(contents, config, chosen, host_layers=host_layers, after=after)


def faster_mapping(
    model: IntegerModel, config: AcceleratorConfig, host_layers: tuple[str, ...] | None = None
) -> Mapping:
    """The mapping with the lower modelled latency; the paper's if they are equal.

    Raises CompileError if the model fits in neither.
    """
    cycles: dict[Mapping, int] = {}
    failure: CompileError | None = None
    mappings: tuple[Mapping, ...] = ("paper", "interleaved")
    for mapping in mappings:
        try:
            cycles[mapping] = modelled_latency(model, config, mapping, host_layers).cycles
        except CompileError as error:
            failure = failure or error
    if failure is not None and not cycles:
        raise failure
    return min(cycles, key=lambda mapping: cycles[mapping])


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
