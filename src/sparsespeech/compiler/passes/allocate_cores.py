"""Second pass: how many row groups each layer gets, so that it fits and the slowest gets faster.

A row group is a share of a layer's rows on a chain of cores of its own. Each layer starts with the
fewest row groups whose weight words fit the memories. While cores are left, the layer whose pass
takes longest gets one more, if the cores for it are left; if not, the next longest is asked, and
of equal layers the first. For DeepSpeech of 2048 on 34 cores this gives Table II of S2: 2, 4, 4
and 24 cores.

Four limits keep small models from being spread too thin:

- A layer three times as fast as the slowest is left as it is.
- So is one whose pass is no longer than its frame takes through a port (of an LSTM: its step, with
  the way of the results back), unless the frame is the host's, which may lie ready.
- A row group has at least as many steps as the wheel of the network has slots, since its stream
  gets one turn a wheel.
- Each port has slots for the streams of all row groups that meet there (``port_limit.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.ir import Plan
from sparsespeech.compiler.layer_demand import (
    LayerDemand,
    WordCount,
    layer_demand,
    words_with_pattern,
)
from sparsespeech.compiler.layer_shapes import column_slices
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.port_limit import most_row_groups
from sparsespeech.errors import CompileError
from sparsespeech.model_file.model import IntegerModel

FAST_ENOUGH = 3  # times as fast as the slowest layer: more cores would only add streams


def allocate_cores(plan: Plan) -> Plan:
    """Fills ``row_groups``; raises CompileError for a model larger than the accelerator."""
    layers = {layer.name: layer for layer in plan.model.graph.layers}
    demands = [layer_demand(layers[name], plan.mapping) for name in plan.accelerated]
    words = words_with_pattern(plan.model, plan.config)
    fewest = fewest_row_groups(demands, plan.config, words)
    needed = cores_of(demands, fewest, plan.config)
    if needed > plan.config.cores:
        raise CompileError(_too_large(plan, demands, fewest, needed))
    groups = add_row_groups(demands, fewest, plan.config, words, plan.results_share)
    return replace(plan, row_groups=groups)


def fewest_row_groups(
    demands: Sequence[LayerDemand], config: AcceleratorConfig, words: WordCount
) -> dict[str, int]:
    """Row groups of each layer whose longest stream of words fits the weight memory.

    Raises CompileError for a layer of which a single step does not fit.
    """
    return {demand.layer: _fewest(demand, config, words) for demand in demands}


def add_row_groups(
    demands: Sequence[LayerDemand],
    fewest: dict[str, int],
    config: AcceleratorConfig,
    words: WordCount,
    results_share: float = 1.0,
) -> dict[str, int]:
    """The rule of this module's docstring, from the fewest row groups on.

    ``results_share``: see :func:`.most_row_groups`.
    """
    groups = fewest
    most = most_row_groups(demands, config, results_share)
    while True:
        left = config.cores - cores_of(demands, groups, config)
        cycles = {
            demand.layer: pass_cycles(demand, groups[demand.layer], config, words)
            for demand in demands
        }
        for demand in sorted(demands, key=lambda demand: -cycles[demand.layer]):
            more = groups[demand.layer] + 1
            if (
                cycles[demand.layer] * FAST_ENOUGH >= max(cycles.values())
                and demand.cores(1, config) <= left
                and (
                    demand is demands[0]
                    or _lags_behind_frames(demand, cycles[demand.layer], config)
                )
                and more * config.slots <= demand.steps(config)
                and more <= most[demand.layer]
                and words(demand, more) <= config.weight_words
            ):
                groups = {**groups, demand.layer: more}
                break
        else:
            return groups


def cores_of(
    demands: Sequence[LayerDemand], groups: dict[str, int], config: AcceleratorConfig
) -> int:
    """Cores of all layers with ``groups`` row groups of each."""
    return sum(demand.cores(groups[demand.layer], config) for demand in demands)


def pass_cycles(
    demand: LayerDemand, groups: int, config: AcceleratorConfig, words: WordCount
) -> int:
    """Cycles of a core a frame: loads, and a step or a weight word a cycle, whichever are more."""
    loads = demand.directions_of_core * demand.load_cycles(config)
    return max(demand.pass_cycles(groups, config), words(demand, groups) + loads)


def _lags_behind_frames(demand: LayerDemand, cycles: int, config: AcceleratorConfig) -> bool:
    """Whether frames of a layer arrive faster than it takes them, with ``cycles`` a pass.

    A direction of an LSTM cannot take one before the results of the step before have returned.
    """
    step = cycles // demand.directions_of_core + demand.return_cycles(config)
    return max(cycles, step) > demand.arrival_cycles(config)


def _fewest(demand: LayerDemand, config: AcceleratorConfig, words: WordCount) -> int:
    steps = demand.steps(config)
    for groups in range(1, steps + 1):
        rows = demand.directions_of_core * -(-steps // groups)
        if rows <= config.weight_words and words(demand, groups) <= config.weight_words:
            return groups
    raise CompileError(
        f"{demand.shapes[0].name}: a single step of {config.row_lanes} rows needs "
        f"{words(demand, steps)} weight words in one lane and window, {config.name} stores "
        f"{config.weight_words}; raise weight_words or multipliers_per_window with --config"
    )


def _too_large(
    plan: Plan, demands: Sequence[LayerDemand], fewest: dict[str, int], needed: int
) -> str:
    config = plan.config
    largest = max(demands, key=lambda demand: demand.cores(fewest[demand.layer], config))
    parts = ", ".join(
        f"{demand.layer} {demand.cores(fewest[demand.layer], config)}" for demand in demands
    )
    shape = max(largest.shapes, key=lambda shape: matrix_of(plan.model, shape.name).nonzeros)
    matrix = matrix_of(plan.model, shape.name)
    density = matrix.nonzeros / (shape.rows * shape.columns)
    return (
        f"the model needs {needed} cores ({parts}), {config.name} has {config.cores}; largest "
        f"matrix {shape.name}, {shape.rows} x {shape.columns} with {density:.1%} nonzeros: "
        f"{_counted(fewest[largest.layer], 'row group')} of "
        f"{_counted(len(column_slices(shape.columns, config)), 'core')}, as a weight memory holds "
        f"{config.weight_words} words. {_what_helps(plan.model, demands, config)}"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")


def _what_helps(
    model: IntegerModel, demands: Sequence[LayerDemand], config: AcceleratorConfig
) -> str:
    fits = [
        f"--target {name}"
        for name, other in TARGETS.items()
        if other != config and _fits(model, demands, other)
    ]
    if fits:
        return f"It fits {' and '.join(fits)}"
    return (
        "It fits no target: prune it further, use a smaller model, compute more layers on the "
        "host with --host-layers, or raise cores or weight_words with --config"
    )


def _fits(model: IntegerModel, demands: Sequence[LayerDemand], config: AcceleratorConfig) -> bool:
    try:
        fewest = fewest_row_groups(demands, config, words_with_pattern(model, config))
    except CompileError:
        return False
    return cores_of(demands, fewest, config) <= config.cores
