"""What an accelerated layer asks of a grid: cores, cycles and weight words, by its row groups.

Axes: P row groups, R row lanes, Q windows, T column slices. In the paper's mapping each direction
of an LSTM has cores of its own; in the interleaved mapping each core holds half as many rows of
both directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sparsespeech.accelerator_config import AcceleratorConfig
from sparsespeech.compiler.layer_shapes import (
    MatrixShape,
    column_slices,
    matrix_shapes,
)
from sparsespeech.compiler.matrices import matrix_of
from sparsespeech.compiler.program import Mapping
from sparsespeech.compiler.word_counts import entries_of_windows, words_of_row_groups
from sparsespeech.graph import Layer
from sparsespeech.model_file.model import IntegerModel


@dataclass(frozen=True)
class LayerDemand:
    """One layer; ``shapes`` are all its matrices, of all directions."""

    layer: str
    shapes: tuple[MatrixShape, ...]
    mapping: Mapping

    @property
    def directions(self) -> int:
        """1, or 2 for a bidirectional LSTM."""
        return len({shape.direction for shape in self.shapes})

    @property
    def directions_of_core(self) -> int:
        """Directions whose rows one core holds."""
        return self.directions if self.mapping == "interleaved" else 1

    def steps(self, config: AcceleratorConfig) -> int:
        """Steps of one pass of one direction with a single row group."""
        return max(shape.steps(config) for shape in self.shapes)

    def cores(self, groups: int, config: AcceleratorConfig) -> int:
        """Cores with ``groups`` row groups a direction."""
        slices = sum(len(column_slices(shape.columns, config)) for shape in self.shapes)
        return groups * slices // self.directions_of_core

    def load_cycles(self, config: AcceleratorConfig) -> int:
        """Cycles to load the widest slice."""
        widths = [
            stop - start
            for shape in self.shapes
            for start, stop in column_slices(shape.columns, config)
        ]
        return config.load_cycles(max(widths))

    def arrival_cycles(self, config: AcceleratorConfig) -> int:
        """Cycles in which a frame arrives at a core that gets a flit in each, once a direction."""
        columns = max(shape.columns for shape in self.shapes if shape.role != "recurrent")
        return self.directions_of_core * math.ceil(columns / config.flit_activations)

    def return_cycles(self, config: AcceleratorConfig) -> int:
        """Cycles from the last words of a step to its results in staging, one link away; LSTM only.

        0 for a layer that does not wait for its own results.
        """
        if all(shape.role != "recurrent" for shape in self.shapes):
            return 0
        stages = config.stages
        tree = config.tree_levels * stages.tree_level + stages.chain_add + stages.output_register
        cell = stages.requantize + stages.pointwise
        way = stages.flit + stages.inject + stages.hop + stages.eject + stages.staging_write
        return stages.window + tree + cell + way

    def pass_cycles(self, groups: int, config: AcceleratorConfig) -> int:
        """Cycles of a core a frame: loads and steps of every direction that it holds."""
        steps = -(-self.steps(config) // groups)
        return self.directions_of_core * (steps + self.load_cycles(config))


WordCount = Callable[[LayerDemand, int], int]  # words of the longest stream, by row groups


def layer_demand(layer: Layer, mapping: Mapping) -> LayerDemand:
    """The demand of a fully connected layer or an LSTM."""
    return LayerDemand(layer.name, matrix_shapes(layer), mapping)


def words_without_pattern(config: AcceleratorConfig) -> WordCount:
    """One word a row: enough for rows with few nonzeros, whatever their pattern."""

    def longest(demand: LayerDemand, groups: int) -> int:
        return demand.directions_of_core * -(-demand.steps(config) // groups)

    return longest


def words_with_pattern(model: IntegerModel, config: AcceleratorConfig) -> WordCount:
    """Counts the words that the nonzeros of ``model`` need."""
    entries: dict[str, NDArray[np.int64]] = {}

    @cache
    def longest(demand: LayerDemand, groups: int) -> int:
        total: dict[tuple[str, str], NDArray[np.int64]] = {}
        for shape in demand.shapes:
            if shape.name not in entries:
                slices = column_slices(shape.columns, config)
                entries[shape.name] = entries_of_windows(
                    matrix_of(model, shape.name), slices, config
                )
            # Directions that share cores share their memories: their words add up.
            shared = "" if demand.directions_of_core > 1 else shape.direction
            words = words_of_row_groups(entries[shape.name], shape, groups, config)
            key = (shape.role, shared)
            total[key] = total[key] + words if key in total else words
        return max(int(words.max()) for words in total.values())

    return longest
