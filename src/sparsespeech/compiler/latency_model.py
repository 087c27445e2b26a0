"""Cycles of one utterance by a closed form, before anything is packed, routed or simulated.

A *pass* is one frame through one layer (a direction of an LSTM: one step): loading, then a cycle a
row group. Frames run through the fully connected layers as a pipeline; a backward LSTM waits for
the last of them; each of its steps waits for the step before and for the ``bubble`` in which that
step's sums, gates and outputs travel.

:func:`mau_paper_estimate` puts in what the MAU paper (S2) implies: 27,648 cycles for layers 1 to 3
and 50 steps of 1024 + 32 + 106, together 85,748 = 0.343 ms at 250 MHz (Table V). The 106 is
**fitted** to that one figure; its three digits allow 103.5 to 108.5. S2 states no pipeline depth.

Two things in it are a reading of ours. A layer of at most K / 2 columns takes fewer cycles than it
has steps, as if a core could lay rows side by side (layer 1: 160 cycles; a core of our machine
takes 272, in the first frame alone: 0.13 % of the whole). And nothing waits for weights that are
spread unevenly. ``narrow_rows_fold=False`` and ``words`` turn them off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Table
from dataclasses import dataclass

from sparsespeech.accelerator_config import TARGETS, AcceleratorConfig
from sparsespeech.compiler.layer_demand import (
    LayerDemand,
    WordCount,
    layer_demand,
    words_with_pattern,
    words_without_pattern,
)
from sparsespeech.compiler.passes.allocate_cores import add_row_groups, fewest_row_groups
from sparsespeech.compiler.program import Mapping, Program
from sparsespeech.errors import CompileError
from sparsespeech.graph import deepspeech

PAPER_BUBBLE_CYCLES = 106  # fitted to Table V of S2
FRAMES_OF_A_SECOND = 50


@dataclass(frozen=True)
class PassCycles:
    """One pass of one direction of a layer."""

    layer: str
    load: int
    multiply: int  # a cycle a row group of 4 rows
    directions: int = 1  # that one core computes, one after the other

    @property
    def total(self) -> int:
        """Cycles between two frames of the layer."""
        return self.load + self.multiply


@dataclass(frozen=True)
class LatencyEstimate:
    """Cycles of an utterance of ``frames`` frames that has the machine to itself."""

    frames: int
    passes: tuple[PassCycles, ...]  # a layer
    prefix_cycles: int  # until the last frame has left the fully connected layers
    bubble_cycles: int  # fitted, see the module's docstring
    cycles: int
    seconds: float

    @property
    def cycles_per_frame(self) -> int:
        """Of the slowest core, with utterances enough in flight; loads are not hidden."""
        return max(step.directions * step.total for step in self.passes)

    @property
    def recurrent_cycles(self) -> int:
        """From the end of the prefix to the last output."""
        return self.cycles - self.prefix_cycles


def estimate_program_latency(
    program: Program, frames: int, *, bubble_cycles: int = PAPER_BUBBLE_CYCLES
) -> LatencyEstimate:
    """:func:`estimate_latency` of a compiled program, without folding."""
    layers = {layer.name: layer for layer in program.model.graph.layers}
    demands = tuple(layer_demand(layers[name], program.mapping) for name in program.accelerated)
    groups = {name: 0 for name in program.accelerated}
    for chain in program.chains:
        groups[chain.layer] = max(groups[chain.layer], chain.row_group + 1)
    return estimate_latency(
        demands,
        groups,
        program.config,
        frames,
        bubble_cycles=bubble_cycles,
        narrow_rows_fold=False,
        words=words_with_pattern(program.model, program.config),
    )


def estimate_latency(
    demands: tuple[LayerDemand, ...],
    row_groups: Table[str, int],
    config: AcceleratorConfig,
    frames: int,
    *,
    bubble_cycles: int = PAPER_BUBBLE_CYCLES,
    narrow_rows_fold: bool = True,
    words: WordCount | None = None,
) -> LatencyEstimate:
    """Cycles from the first flit of an utterance to its last output.

    ``demands`` are the accelerated layers, an LSTM last or none, with ``row_groups`` of each. With
    ``words`` a pass takes a cycle a word of its longest stream where those are more than its steps.
    Raises CompileError for no frames.
    """
    if frames < 1:
        raise CompileError(f"a latency of {frames} frames does not exist; expected 1 or more")
    passes = tuple(
        _pass(demand, row_groups[demand.layer], config, words, fold=narrow_rows_fold)
        for demand in demands
    )
    recurrent = demands[-1].shapes[0].role != "linear"
    linear = [step.total for step in (passes[:-1] if recurrent else passes)]
    slowest, first = max(linear, default=0), sum(linear)
    prefix = first + (frames - 1) * slowest
    cycles = prefix
    if recurrent:
        arrivals = [first + frame * slowest for frame in range(frames)]
        orders = [arrivals, [prefix] * frames][: demands[-1].directions]
        shared = demands[-1].directions_of_core > 1
        cycles = max(
            _recurrent_end(cores, passes[-1], bubble_cycles, double_buffered=config.double_buffered)
            for cores in ([orders] if shared else [[order] for order in orders])
        )
    return LatencyEstimate(frames, passes, prefix, bubble_cycles, cycles, config.seconds(cycles))


def mau_paper_estimate(
    mapping: Mapping = "paper", frames: int = FRAMES_OF_A_SECOND
) -> LatencyEstimate:
    """DeepSpeech of S2's Table I on its 34 cores; 85,748 cycles for 1 s in the paper's mapping."""
    config = TARGETS["mau-stratix10"]
    layers = (layer for layer in deepspeech(2048).layers[:4])  # layers 5 and 6: the host's
    demands = tuple(layer_demand(layer, mapping) for layer in layers)
    words = words_without_pattern(config)
    fewest = fewest_row_groups(demands, config, words)
    groups = add_row_groups(demands, fewest, config, words)
    return estimate_latency(demands, groups, config, frames)


def _pass(
    demand: LayerDemand,
    groups: int,
    config: AcceleratorConfig,
    words: WordCount | None,
    *,
    fold: bool,
) -> PassCycles:
    steps = math.ceil(demand.steps(config) / groups)
    if words is not None:  # counted for all directions of a core together
        steps = max(steps, math.ceil(words(demand, groups) / demand.directions_of_core))
    load = demand.load_cycles(config)
    if fold:
        # Rows of at most K / 2 columns lie side by side, each with its copy of the activations.
        side_by_side = max(1, config.columns // (load * config.load_bytes))
        steps, load = math.ceil(steps / side_by_side), load * side_by_side
    return PassCycles(demand.layer, load, steps, demand.directions_of_core)


def _recurrent_end(
    orders: list[list[int]], step: PassCycles, bubble: int, *, double_buffered: bool
) -> int:
    """When the last step's output is there; ``orders``: arrivals of the frames of each direction.

    The directions share the cores: next is the step that can multiply first, and of two the one
    of the direction that was not served last. With two banks of activations a step loads while
    the one before multiplies.
    """
    served = [0] * len(orders)
    output = [0] * len(orders)  # when a direction's last output was back
    free, last = 0, -1

    def loaded(number: int) -> int:
        ready = max(output[number], orders[number][served[number]])
        return max(free, ready + step.load) if double_buffered else max(free, ready) + step.load

    while True:
        waiting = [number for number, order in enumerate(orders) if served[number] < len(order)]
        if not waiting:
            return max(output)
        last = min(waiting, key=lambda number: (loaded(number), number == last))
        free = loaded(last) + step.multiply
        output[last] = free + bubble
        served[last] += 1
